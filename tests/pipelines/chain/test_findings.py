from pipelines.chain.findings import Fault, Findings
from pipelines.errors import InputError


def test_equal_faults_of_several_steps_are_told_once() -> None:
    errors = [InputError("a: b; c", "x"), InputError("a: b; c", "y"), InputError("a: b; c", "x")]
    findings = Findings([Fault(f"step-{number}", error) for number, error in enumerate(errors)])
    findings.drop_repeated()
    assert [(fault.step, fault.error.rule) for fault in findings.faults] == [("step-0", "x"), ("step-1", "y")]

"""A look at all inputs of a chain before anything is computed."""

from collections.abc import Sequence

from pipelines.chain.findings import Findings
from pipelines.chain.inspection import Inspection
from pipelines.chain.step import Step
from pipelines.data.checking import Headers
from pipelines.events import Events


def check_steps(
    steps: Sequence[Step], events: Events, chain: Sequence[Step] | None = None, thorough: bool = False
) -> Findings:
    """Look at all inputs of steps, and take for granted what earlier steps are to make.

    Args:
        steps: The steps to look at.
        events: Receives remarks that are no faults.
        chain: All steps of the chain, where `steps` are some of them.
        thorough: Whether to decode every picture, and to look for the weights of trunks.

    Returns:
        The faults, each of them once, and what the inputs show.
    """
    findings, headers = Findings(), Headers(whole=thorough)
    for step in chain or steps:
        if step in steps or step.informs_later_checks:
            before = len(findings.faults)
            inspection = Inspection(step.name, findings, headers, events, thorough)
            with inspection.catching():
                step.check(inspection)
            if step not in steps:
                del findings.faults[before:]
    findings.drop_repeated()
    return findings

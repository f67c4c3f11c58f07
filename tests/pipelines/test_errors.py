"""Errors: exit codes, the way between processes, and names that are nearly right."""

import pickle

import pytest

from pipelines import errors
from pipelines.errors import ConfigError, S4Error, nearest_name


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("ConfigError", 2),
        ("InputError", 3),
        ("PartialFailure", 4),
        ("DivergedError", 5),
        ("MachineError", 6),
        ("Stopped", 75),
    ],
)
def test_every_kind_of_error_has_its_exit_code(kind: str, code: int) -> None:
    error = getattr(errors, kind)("x: a, expected b; do c", "some-rule")
    assert isinstance(error, S4Error)
    assert error.exit_code == code
    assert str(error) == "x: a, expected b; do c [some-rule]"


def test_an_error_survives_the_way_out_of_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(ConfigError("message", "rule")))
    assert (type(error), str(error), error.rule) == (ConfigError, "message [rule]", "rule")


def test_the_nearest_name_is_found_across_case_and_only_when_it_is_near() -> None:
    assert nearest_name("Hrose", ["horse", "cow"]) == "horse"
    assert nearest_name("zebra", ["Horse", "cow"]) is None

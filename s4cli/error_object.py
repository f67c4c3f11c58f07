"""The JSON object of an error: one form for errors of the work and for the end by a signal."""

from collections.abc import Sequence
from typing import Any

from pipelines.engine.version import __version__

SCHEMA_VERSION = 1


def head(command: str) -> dict[str, Any]:
    """Return the keys with which every JSON object of the command line begins."""
    return {"schema": f"s4/{command}/{SCHEMA_VERSION}", "s4_version": __version__}


def described(message: str, rule: str, exit_code: int) -> dict[str, Any]:
    """Return what the key `error` holds."""
    return {"rule": rule, "message": message, "exit_code": exit_code}


def error_object(faults: Sequence[tuple[str, str]], exit_code: int) -> dict[str, Any]:
    """Return an error as a JSON object.

    Args:
        faults: Message and rule of every fault that the error tells; several are listed besides.
        exit_code: The exit code.
    """
    error = described("\n".join(message for message, _ in faults), faults[0][1], exit_code)
    listed = [{"rule": rule, "message": message} for message, rule in faults]
    return {**head("error"), "error": error, **({"faults": listed} if len(faults) > 1 else {})}

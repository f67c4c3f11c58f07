"""What is wrong with a machine, in one form: a rule, a message, and what to do."""

Advice = dict[str, str]
"""{rule, message}, as in the warnings of a result."""


def advice(rule: str, found: str, expected: str, remedy: str) -> Advice:
    """Return a piece of advice.

    Args:
        rule: Id of the rule, see `pipelines.rules`.
        found: Where it is and what was found.
        expected: What is expected.
        remedy: What to do.
    """
    return {"rule": rule, "message": f"{found}, {expected} expected; {remedy}"}

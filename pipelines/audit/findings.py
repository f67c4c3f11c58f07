"""What a check finds, collected rule by rule: a message for each kind, with the number of cases and some names."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.data.notes import first_names
from pipelines.errors import S4Error
from pipelines.events import Events
from pipelines.rules.table import RULES

_MOST_ALIKE = 20  # errors of one rule at one place that are told one by one


@dataclass(frozen=True)
class Finding:
    """One thing that a check has found.

    Attributes:
        rule: Id of the rule, see `pipelines.rules`.
        is_error: Whether a stage would fail on it.
        place: The path that was checked.
        message: What was found, what is expected, and what to do.
        count: How many cases it stands for.
    """

    rule: str
    is_error: bool
    place: str
    message: str
    count: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return {rule, message, place, count, remedy}; the remedy is that of the rule."""
        remedy = RULES[self.rule].remedy if self.rule in RULES else ""
        told = {"rule": self.rule, "message": self.message, "place": self.place}
        return {**told, "count": self.count, "remedy": remedy}


@dataclass
class Findings:
    """All that a check has found at one path.

    Attributes:
        place: The path.
        found: The findings, in the order in which they were found.
    """

    place: Path
    found: list[Finding] = field(default_factory=list)
    _known: set[Finding] = field(default_factory=set, repr=False)

    def error(self, rule: str, message: str, count: int = 1) -> None:
        """Note something on which a stage would fail."""
        self._add(Finding(rule, True, str(self.place), message, count))

    def warning(self, rule: str, message: str, count: int = 1) -> None:
        """Note something that a stage would bear, and that a person should look at."""
        self._add(Finding(rule, False, str(self.place), message, count))

    def cases(self, rule: str, what: str, names: Iterable[str], remedy: str, is_error: bool = False) -> None:
        """Note all cases of a rule in one line; nothing where there is no case.

        Args:
            rule: Id of the rule.
            what: What is wrong with them, and what is expected.
            names: Names of the cases.
            remedy: What to do.
            is_error: Whether a stage would fail on it.
        """
        cases = list(names)
        if cases:
            message = f"{what}: {len(cases)} ({first_names(cases)}); {remedy}"
            self._add(Finding(rule, is_error, str(self.place), message, len(cases)))

    def raised(self, error: S4Error) -> None:
        """Note an error that a reader raised, and all that it tells besides."""
        for one in (error, *error.others):
            self.error(one.rule, one.message)

    def shortened(self) -> list[Finding]:
        """Return the findings, each once; of many errors of one rule, the first ones and the number of the others."""
        shown: list[Finding] = []
        left: dict[str, int] = {}
        numbers: dict[str, int] = {}
        for finding in self.found:
            numbers[finding.rule] = numbers.get(finding.rule, 0) + 1
            if finding.is_error and numbers[finding.rule] > _MOST_ALIKE:
                left[finding.rule] = left.get(finding.rule, 0) + finding.count
            else:
                shown.append(finding)
        for rule, count in left.items():
            more = f"{self.place}: {count} more files or lines break this rule, none expected; mend those above first"
            shown.append(Finding(rule, True, str(self.place), more, count))
        return shown

    def _add(self, finding: Finding) -> None:
        if finding not in self._known:
            self._known.add(finding)
            self.found.append(finding)


class Heard(Events):
    """Events that keep what readers leave out, and pass nothing on.

    Attributes:
        warnings: Lines about what is left out.
        remarks: Lines about how things were understood.
    """

    def __init__(self) -> None:
        """Start without lines."""
        super().__init__()
        self.warnings: list[str] = []
        self.remarks: list[str] = []

    def info(self, message: str) -> None:
        """Keep a remark."""
        self.remarks.append(message)

    def warn(self, message: str) -> None:
        """Keep a warning."""
        self.warnings.append(message)

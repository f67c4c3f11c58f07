"""What the checks of a chain find: faults, and what later steps and the plan need to know."""

from collections import defaultdict
from dataclasses import dataclass, field

from pipelines.data.classes import ClassList
from pipelines.errors import S4Error


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with the inputs of a step.

    Attributes:
        step: Name of the step.
        error: What is wrong.
        bearable: The step itself would report this picture, leave it out and do the others.
    """

    step: str
    error: S4Error
    bearable: bool = False


@dataclass
class Seen:
    """What a step's inputs show; None where there is nothing to see.

    Attributes:
        pictures: How many pictures the step works on.
        sizes: The (height, width) of the pictures that the step labels.
        labelled: The ids of the pictures that the step labels.
        classes: Classes of what the step makes.
    """

    pictures: int | None = None
    sizes: list[tuple[int, int]] | None = None
    labelled: list[str] | None = None
    classes: ClassList | None = None


@dataclass
class Findings:
    """What the checks have found in a chain.

    Attributes:
        faults: All that is wrong, in the order of the steps.
        seen: What the inputs show, by the name of the step.
    """

    faults: list[Fault] = field(default_factory=list)
    seen: defaultdict[str, Seen] = field(default_factory=lambda: defaultdict(Seen))

    def drop_repeated(self) -> None:
        """Keep the first of equal faults: the rounds of a chain look at the same files."""
        first: dict[str, Fault] = {}
        for fault in self.faults:
            first.setdefault(str(fault.error), fault)
        self.faults = list(first.values())

"""What the checks of a chain find: faults, and what later steps and the plan need to know."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.data.classes import ClassList
from pipelines.data.images import ImageFile
from pipelines.errors import S4Error

if TYPE_CHECKING:
    from pipelines.networks.trunk_places import TrunkPlace


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
        files: Where the pictures lie that the step labels or trains on, by id, as far as they can be used.
        classes: Classes of what the step makes.
        trunk: Where the weights of the trunk are that the step starts from.
    """

    pictures: int | None = None
    sizes: list[tuple[int, int]] | None = None
    labelled: list[str] | None = None
    files: dict[str, ImageFile] = field(default_factory=dict)
    classes: ClassList | None = None
    trunk: "TrunkPlace | None" = None


@dataclass
class Findings:
    """What the checks have found in a chain.

    Attributes:
        faults: All that is wrong, in the order of the steps.
        seen: What the inputs show, by the name of the step.
        weights: A line for each network: {stage, network, weights}.
        places: Where the weights of a trunk are, by its name and `--trunk-weights`.
    """

    faults: list[Fault] = field(default_factory=list)
    seen: defaultdict[str, Seen] = field(default_factory=lambda: defaultdict(Seen))
    weights: list[dict[str, str]] = field(default_factory=list)
    places: "dict[tuple[str, str], TrunkPlace]" = field(default_factory=dict)

    @property
    def unbearable(self) -> list[Fault]:
        """The faults with which a stage ends."""
        return [fault for fault in self.faults if not fault.bearable]

    def drop_repeated(self) -> None:
        """Keep the first of equal faults: the rounds of a chain look at the same files."""
        first: dict[str, Fault] = {}
        for fault in self.faults:
            first.setdefault(str(fault.error), fault)
        self.faults = list(first.values())

"""The checks that stages share. They read lists, tables and headers; the pixels of a picture in a dry run alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipelines.chain.findings import Fault, Findings, Seen
from pipelines.config.base import TRUNK_WEIGHT_WORDS
from pipelines.data.checking import Headers, require_same_size
from pipelines.data.classes import ClassList
from pipelines.data.coco import listed_pictures, load_coco
from pipelines.data.images import ImageFile
from pipelines.data.voc import image_path, read_split, truth_path
from pipelines.errors import InputError, S4Error
from pipelines.events import Events
from pipelines.stores.paths import to_path


class Inspection:
    """A look at the inputs of one step, which collects faults instead of raising them.

    Attributes:
        step: Name of the step.
        events: Receives remarks that are no faults.
        thorough: Whether to look for weights of trunks too, and to work out what a stage would do.
        seen: What the inputs of the step show; its check fills this in.
    """

    def __init__(self, step: str, findings: Findings, headers: Headers, events: Events, thorough: bool = False) -> None:
        """Begin to look at a step.

        Args:
            step: Name of the step.
            findings: What is found in the whole chain; receives the faults.
            headers: The sizes of pictures, shared by all steps.
            events: Receives remarks that are no faults.
            thorough: Whether to look for weights of trunks too, which brings torch.
        """
        self.step, self.events, self.thorough = step, events, thorough
        self._findings, self._headers = findings, headers
        self.seen = findings.seen[step]

    def seen_of(self, step: str) -> Seen:
        """Return what the inputs of another step show, by its name."""
        return self._findings.seen[step]

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Turn an error of the `with` block into a fault."""
        try:
            yield
        except S4Error as error:
            self.add(error)

    def add(self, *errors: S4Error, bearable: bool = False) -> None:
        """Note errors as faults.

        Args:
            errors: What is wrong.
            bearable: The step itself would leave the picture out.
        """
        self._findings.faults += [Fault(self.step, error, bearable) for error in errors]

    def refuse(self, message: str, rule: str) -> None:
        """Note a fault with a message and the id of its rule."""
        self.add(InputError(message, rule))

    def pictures(self, files: Iterable[ImageFile], bearable: bool = False) -> list[tuple[int, int]]:
        """Return the (height, width) of the pictures that can be used, and note the others as faults."""
        sizes = []
        for size in self._headers.read(files).values():
            if isinstance(size, InputError):
                self.add(size, bearable=bearable)
            else:
                sizes.append(size)
        return sizes

    def usable(self, files: Mapping[str, ImageFile]) -> dict[str, ImageFile]:
        """Return the pictures without a fault, by id; `pictures` has to look at them first."""
        sizes = self._headers.read(files.values())
        return {name: file for name, file in files.items() if not isinstance(sizes[file], InputError)}

    def pairs(self, files: Sequence[tuple[ImageFile, Path]]) -> None:
        """Check that every picture and its label map are there and have the same size."""
        sizes = self._headers.read(path for pair in files for path in pair)
        for picture, label_map in files:
            expected, found = sizes[picture], sizes[label_map]
            self.add(*(size for size in (expected, found) if isinstance(size, InputError)))
            if not isinstance(found, InputError) and not isinstance(expected, InputError):
                try:
                    require_same_size(label_map, found, picture, expected)
                except InputError as error:
                    self.add(error)

    def voc_pairs(self, voc: Path, split: str) -> list[str]:
        """Check the pictures and true masks of a VOC list, and return its ids.

        Raises:
            InputError: The list cannot be read.
        """
        ids = read_split(voc, split)
        self.pairs([(image_path(voc, image_id), truth_path(voc, image_id)) for image_id in ids])
        return ids

    def coco(self, annotations: Path, images: Path) -> int:
        """Check a COCO file and its pictures, and return the number of pictures.

        Raises:
            InputError: The file cannot be read, or it does not fit the pictures.
        """
        if not images.is_dir():
            self.refuse(f"{images}: no such folder, expected one with pictures; check the path", "folder-missing")
        listed = listed_pictures(annotations, images)
        before = len(self._findings.faults)
        if images.is_dir():
            self.pictures(listed.values())
        if images.is_dir() and len(self._findings.faults) == before:
            load_coco(annotations, images)
        return len(listed)

    def weights(self, weights: Path | None) -> None:
        """Check that weights that no step makes are there."""
        if weights is None:
            return
        from pipelines.engine.checkpoint import weights_file  # brings torch

        with self.catching():
            self._note_weights(str(weights), f"here, {weights_file(weights)}")

    def trunk_weights(self, trunk: str, source: str) -> None:
        """Check that trunk weights are a known word or a file; if thorough, also that they can be had.

        Args:
            trunk: Name of the trunk, as in `--trunk`.
            source: Value of `--trunk-weights`.
        """
        if source not in TRUNK_WEIGHT_WORDS and not to_path(source).is_file():
            message = f"{source}: no such file, imagenet, none or a file of trunk weights expected; check the path"
            self.refuse(message, "weights-missing")
        elif self.thorough:
            with self.catching():
                self._find_trunk(trunk, source)

    def _find_trunk(self, trunk: str, source: str) -> None:
        """Note where the weights of a trunk are.

        Raises:
            ConfigError: There is no such trunk [trunk-unusable].
            MachineError: Its weights cannot be had [weights-download].
        """
        from pipelines.networks.trunk_names import resolve_trunk  # these bring torch
        from pipelines.networks.trunk_places import find_trunk
        from pipelines.networks.trunk_weights import unreachable

        places = self._findings.places
        if (trunk, source) not in places:
            places[trunk, source] = find_trunk(resolve_trunk(trunk), source)
        self.seen.trunk = place = places[trunk, source]
        self._note_weights(trunk, place.in_words)
        if place.where in ("nowhere", "absent"):
            raise unreachable(place)

    def _note_weights(self, network: str, where: str) -> None:
        self._findings.weights.append({"stage": self.step, "network": network, "weights": where})

    def same_classes(self, asked: ClassList | None, made: ClassList, setting: str) -> None:
        """Check that the classes that a step asks for are those of the labels that an earlier step makes.

        Args:
            asked: Classes that the step asks for; None for none.
            made: Classes of the labels.
            setting: Table, name and value of the setting that asks, for the message.
        """
        if asked is not None and asked != made:
            message = (
                f"{setting}: {len(asked.names)} classes ({', '.join(asked.names[:4])}, ...), expected those of the "
                f"labels ({', '.join(made.names[:4])}, ...); leave it out"
            )
            self.refuse(message, "class-list-differs")

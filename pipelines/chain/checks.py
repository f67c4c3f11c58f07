"""Everything that can be known of a chain's inputs before anything is computed: headers, lists and tables alone."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.chain.fingerprints import listed_names
from pipelines.chain.steps import Step
from pipelines.config import DeepLabTrainConfig, EvaluateConfig, PseudoLabelConfig, TrainConfig
from pipelines.data.checking import Headers
from pipelines.data.classes import ClassList, load_classes
from pipelines.data.coco import load_coco
from pipelines.data.images import ImageFile, find_images
from pipelines.data.keywords_files import keyword_faults, read_keywords
from pipelines.data.label_folder import open_labels
from pipelines.data.voc import image_path, read_id_list, read_split, truth_path
from pipelines.errors import InputError, S4Error, nearest_name
from pipelines.events import Events

_TRUNK_WORDS = ("imagenet", "none")
_FOLDERS_SHOWN = 3


@dataclass(frozen=True)
class Fault:
    """Something wrong with the inputs of a step.

    Attributes:
        step: Name of the step.
        error: What is wrong.
        bearable: The step would leave the picture out, tell of it, and do the others.
    """

    step: str
    error: S4Error
    bearable: bool = False


@dataclass
class Findings:
    """What the checks have seen.

    Attributes:
        faults: All that is wrong, in the order of the steps.
        pictures: For each step, how many pictures it works on.
        sizes: For each step that labels, the (height, width) of its pictures.
        labelled: For each step that labels, the ids of its pictures.
        classes: For each step that makes something with classes, these.
    """

    faults: list[Fault] = field(default_factory=list)
    pictures: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    labelled: dict[str, list[str]] = field(default_factory=dict)
    classes: dict[str, ClassList] = field(default_factory=dict)


def check_steps(steps: Sequence[Step], events: Events, chain: Sequence[Step] | None = None) -> Findings:
    """Looks at all inputs of steps: pictures, keywords, classes, masks, weights; of pictures the headers alone.

    What earlier steps are to make is taken for granted.

    Args:
        steps: The steps to look at.
        events: Told of pictures that have no keyword.
        chain: All steps of the chain, where `steps` are some of them.
    """
    return _Checks(chain or steps, events).over(steps)


class _Checks:
    """The checks of a chain; one for each stage, all collecting into the same findings."""

    def __init__(self, chain: Sequence[Step], events: Events) -> None:
        self.chain, self.events = chain, events
        self.found, self.headers = Findings(), Headers()

    def over(self, steps: Sequence[Step]) -> Findings:
        for step in self.chain:
            # Classes and pictures of a label step are needed by those behind it, even if it is not asked about itself.
            if step in steps or isinstance(step.config, PseudoLabelConfig):
                before = len(self.found.faults)
                with self.catching(step):
                    self.one(step)
                if step not in steps:
                    del self.found.faults[before:]
        known: dict[str, Fault] = {}
        for fault in self.found.faults:  # rounds look at the same files
            known.setdefault(str(fault.error), fault)
        self.found.faults = list(known.values())
        return self.found

    def one(self, step: Step) -> None:
        config = step.config
        if isinstance(config, TrainConfig):
            self.train(step, config)
        elif isinstance(config, PseudoLabelConfig):
            self.pseudo_label(step, config)
        elif isinstance(config, DeepLabTrainConfig):
            self.deeplab_train(step, config)
        elif isinstance(config, EvaluateConfig):
            self.evaluate(step, config)

    @contextmanager
    def catching(self, step: Step) -> Iterator[None]:
        try:
            yield
        except S4Error as error:
            self.found.faults.append(Fault(step.name, error))

    def refuse(self, step: Step, message: str, rule: str) -> None:
        self.found.faults.append(Fault(step.name, InputError(message, rule)))

    def made_by(self, step: Step, path: Path | None) -> Step | None:
        """The earlier step that makes a path, if one does."""
        earlier = (other for other in self.chain if other.name in step.after and other.place is not None)
        return next(
            (o for o in earlier if o.place and path and path.absolute().is_relative_to(o.place.absolute())), None
        )

    def pictures(self, step: Step, paths: Iterable[ImageFile], bearable: bool = False) -> list[tuple[int, int]]:
        """The sizes of the pictures that can be used; the others are faults."""
        sizes = []
        for seen in self.headers.read(paths).values():
            if isinstance(seen, InputError):
                self.found.faults.append(Fault(step.name, seen, bearable))
            else:
                sizes.append(seen)
        return sizes

    def pairs(self, step: Step, files: Sequence[tuple[ImageFile, Path]]) -> None:
        """Pictures and their label maps: both there, both of one size."""
        seen = self.headers.read(path for pair in files for path in pair)
        for picture, mask in files:
            found, expected = seen[mask], seen[picture]
            faults = [one for one in (expected, found) if isinstance(one, InputError)]
            self.found.faults += [Fault(step.name, fault) for fault in faults]
            if not isinstance(found, InputError) and not isinstance(expected, InputError) and found != expected:
                message = (
                    f"{mask}: label map is {found[1]}x{found[0]}, expected {expected[1]}x{expected[0]} as {picture}; "
                    "make both the same size"
                )
                self.refuse(step, message, "label-size")

    def weights(self, step: Step, weights: Path | None) -> None:
        if weights is None or self.made_by(step, weights):
            return
        from pipelines.engine.checkpoint import weights_file  # brings torch

        with self.catching(step):
            weights_file(weights)

    def trunk_weights(self, step: Step, source: str) -> None:
        if source not in _TRUNK_WORDS and not Path(source).is_file():
            message = f"{source}: no such file, imagenet, none or a file of trunk weights expected; check the path"
            self.refuse(step, message, "weights-missing")

    def coco(self, step: Step, annotations: Path, images: Path) -> int:
        names = listed_names(annotations)
        before = len(self.found.faults)
        if images.is_dir():
            self.pictures(step, (images / name for name in names))
        if len(self.found.faults) == before:
            load_coco(annotations, images)
        return len(names)

    def train(self, step: Step, config: TrainConfig) -> None:
        self.trunk_weights(step, config.trunk_weights)
        for file in (config.val_annotations, config.annotations):
            if file is not None:
                with self.catching(step):
                    self.found.pictures[step.name] = self.coco(step, file, config.images)

    def pseudo_label(self, step: Step, config: PseudoLabelConfig) -> None:
        self.weights(step, config.weights)
        self.weights(step, config.segmenter)
        self.trunk_weights(step, config.trunk_weights)
        classes, images = load_classes(config.classes), find_images(config.images)
        self.found.classes[step.name] = classes
        faults = keyword_faults(config.keywords, images, config.images, classes, config.split)
        self.found.faults += [Fault(step.name, fault) for fault in faults]
        if faults:
            return
        ids = list(read_keywords(config.keywords, images, config.images, classes, config.split))
        self.found.labelled[step.name], self.found.pictures[step.name] = ids, len(ids)
        self.found.sizes[step.name] = self.pictures(step, (images[image_id] for image_id in ids), bearable=True)
        if config.split is None:
            self._tell_left_out(step, set(images) - set(ids), len(images), classes)
        if config.instances is not None:
            from pipelines.labels.instances import CocoSource, FolderSource  # brings torch

            (FolderSource if config.instances.is_dir() else CocoSource)(config.instances, ids)

    def _tell_left_out(self, step: Step, left_out: set[str], total: int, classes: ClassList) -> None:
        if not left_out:
            return
        folders = sorted({image_id.rpartition("/")[0] for image_id in left_out} - {""})
        shown = []
        for folder in folders[:_FOLDERS_SHOWN]:
            near = nearest_name(folder.rpartition("/")[2], classes.names)
            shown.append(folder + (f", did you mean {near}?" if near else ""))
        more = ["..."] if len(folders) > _FOLDERS_SHOWN else []
        where = f" (in {'; '.join([*shown, *more])})" if folders else ""
        self.events.info(f"{step.name}: {len(left_out)} of {total} pictures have no keyword and are left out{where}")

    def deeplab_train(self, step: Step, config: DeepLabTrainConfig) -> None:
        self.trunk_weights(step, config.trunk_weights)
        if config.val_voc is not None:
            with self.catching(step):
                self.voc_pairs(step, config.val_voc, "val")
        asked = load_classes(config.classes) if config.classes is not None else None
        wanted = step.within if step.single else config.list
        listed = read_id_list(wanted) if wanted is not None else None
        maker = self.made_by(step, config.labels)
        if maker is None:
            self.found_labels(step, config, asked, listed)
            return
        made = self.found.classes.get(maker.name)
        if made is not None:
            self.found.classes[step.name] = made
            self.agree(step, asked, made, config.classes)
        labelled = self.found.labelled.get(maker.name)
        if labelled is None:  # its faults are told already
            return
        known = set(labelled)
        for image_id in listed or ():
            if image_id not in known:
                message = f"{wanted}: {image_id} gets no label, a picture with keywords expected; take it off the list"
                self.refuse(step, message, "label-missing")
        ids = [image_id for image_id in listed or labelled if image_id in known]
        self.found.pictures[step.name] = len(ids)
        if isinstance(maker.config, PseudoLabelConfig) and maker.config.images != config.images:
            images = find_images(config.images)
            self.pictures(step, (images.get(image_id, config.images / f"{image_id}.jpg") for image_id in ids))

    def found_labels(
        self, step: Step, config: DeepLabTrainConfig, asked: ClassList | None, listed: list[str] | None
    ) -> None:
        """Labels that were there before."""
        labels = open_labels(config.labels, config.labels_are, asked)
        self.found.classes[step.name] = labels.classes
        ids, images = listed or labels.ids(), find_images(config.images)
        self.found.pictures[step.name] = len(ids)
        self.pairs(
            step,
            [(images.get(i, config.images / f"{i}.jpg"), labels.label_path(i)) for i in ids],
        )

    def agree(self, step: Step, asked: ClassList | None, made: ClassList, source: str | None) -> None:
        if asked is not None and asked != made:
            message = (
                f"[{step.config.command}] classes {source}: {len(asked.names)} classes ({', '.join(asked.names[:4])}, "
                f"...), expected those of the labels ({', '.join(made.names[:4])}, ...); leave it out"
            )
            self.refuse(step, message, "class-list-differs")

    def voc_pairs(self, step: Step, voc: Path, split: str) -> list[str]:
        ids = read_split(voc, split)
        self.pairs(step, [(image_path(voc, image_id), truth_path(voc, image_id)) for image_id in ids])
        return ids

    def evaluate(self, step: Step, config: EvaluateConfig) -> None:
        self.weights(step, config.weights)
        if config.versus is not None and not config.versus.exists():
            message = f"{config.versus}: not found, label maps or a network to compare with expected; check versus"
            self.refuse(step, message, "versus-missing")
        maker = self.made_by(step, config.weights) or self.made_by(step, config.labels)
        made = self.found.classes.get(maker.name) if maker is not None else None
        if made is not None:
            self.agree(step, load_classes(config.classes), made, config.classes)
        if config.annotations is not None and config.images is not None:
            self.found.pictures[step.name] = self.coco(step, config.annotations, config.images)
        if config.voc is None:
            return
        ids = self.voc_pairs(step, config.voc, config.split)
        self.found.pictures[step.name] = len(ids)
        if config.allow_missing:
            return
        if config.predictions is not None:
            folder = config.predictions
            self.pairs(step, [(truth_path(config.voc, i), folder / f"{i}.png") for i in ids])
        labelled = self.found.labelled.get(maker.name) if maker is not None and config.labels is not None else None
        for image_id in [] if labelled is None else sorted(set(ids) - set(labelled)):
            message = f"{config.voc}: {image_id} of {config.split} gets no label, a picture with keywords expected"
            self.refuse(step, f"{message}; set allow_missing, or take another split", "label-missing")

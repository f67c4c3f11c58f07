"""Every picture of a data set, decoded once: which are damaged, which are there twice, and in which splits they are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.audit.duplicates import MOST_BITS, find_copies
from pipelines.audit.findings import Findings
from pipelines.audit.pictures import THUMB, Look, in_threads, look_at_picture
from pipelines.data.images import ImageFile
from pipelines.events import Events

_PARTS = {
    "train": "train", "training": "train", "train_aug": "train", "trainaug": "train",
    "val": "val", "valid": "val", "validation": "val", "test": "test", "testing": "test",
}  # fmt: skip


@dataclass
class Pictures:
    """The pictures of a data set.

    Attributes:
        needed: Whether a stage would fail without the picture, by its file. Otherwise a stage would leave it out.
        splits: The splits that a picture is in, by its file.
        sizes: (height, width) of each picture that decodes, by its file.
    """

    needed: dict[ImageFile, bool] = field(default_factory=dict)
    splits: dict[ImageFile, set[str]] = field(default_factory=dict)
    sizes: dict[ImageFile, tuple[int, int]] = field(default_factory=dict)

    def add(self, files: Iterable[ImageFile], split: str | None = None, needed: bool = False) -> None:
        """Take pictures, which may be there already.

        Args:
            files: The pictures.
            split: The split that a list puts them in; None for that of their folders, if these are named so.
            needed: Whether a stage would fail without them.
        """
        for file in files:
            self.needed[file] = self.needed.get(file, False) or needed
            found = split or split_of(Path(str(file)).parent.parts)
            if found:
                self.splits.setdefault(file, set()).add(found)


def split_of(names: Sequence[str]) -> str | None:
    """Return the split that names of folders, or of a list, tell: train, val, test or None."""
    return next((_PARTS[name.lower()] for name in reversed(names) if name.lower() in _PARTS), None)


def check_pictures(pictures: Pictures, findings: Findings, threads: int, events: Events) -> None:
    """Decode every picture, note those that cannot be used, and those that are there twice; fill in the sizes.

    Args:
        pictures: The pictures.
        findings: Receives what is found.
        threads: Pictures that are decoded at once.
        events: Told the progress.
    """
    files = sorted(pictures.needed, key=str)
    thumbs = np.zeros((len(files), THUMB, THUMB), np.uint8)
    digests: list[bytes] = []
    usable: list[ImageFile] = []
    with events.progress(len(files), f"{findings.place}: pictures") as progress:
        for file, look in zip(files, in_threads(look_at_picture, files, threads), strict=True):
            progress.advance()
            if isinstance(look, Look):
                thumbs[len(usable)] = look.thumb
                digests.append(look.pixels)
                usable.append(file)
                pictures.sizes[file] = look.size
            elif pictures.needed[file]:
                findings.error(look.rule, look.message)
            else:
                findings.warning(look.rule, f"{look.message} (labelling leaves it out)")
    _check_copies(usable, digests, thumbs[: len(usable)], pictures.splits, findings)


def _check_copies(
    files: Sequence[ImageFile],
    digests: Sequence[bytes],
    thumbs: NDArray[np.uint8],
    splits: Mapping[ImageFile, set[str]],
    findings: Findings,
) -> None:
    copies = find_copies(digests, thumbs)
    equal = [(group[0], other) for group in copies.equal for other in group[1:]]
    apart = [pair for pair in (*equal, *copies.similar) if _are_apart(splits, files[pair[0]], files[pair[1]])]
    place = findings.place

    def named(pairs: Iterable[tuple[int, int]]) -> list[str]:
        return [f"{files[one]} = {files[other]}" for one, other in pairs if (one, other) not in seen]

    seen: set[tuple[int, int]] = set()
    what = f"{place}: pictures of one split that another split shows too, the same or nearly, none expected"
    findings.cases("split-pictures", what, named(apart), "take them out of one split, or figures will be too good")
    seen = set(apart)
    what = f"{place}: pictures with the same pixels, each once expected"
    findings.cases("picture-duplicate", what, named(equal), "remove the copies")
    what = f"{place}: pictures that are nearly the same (at most {MOST_BITS} of 64 bits of a difference hash differ)"
    findings.cases("picture-near-duplicate", what, named(copies.similar), "look at them, and remove copies")


def _are_apart(splits: Mapping[ImageFile, set[str]], one: ImageFile, other: ImageFile) -> bool:
    """Return whether two pictures are in splits, and in different ones."""
    own, others = splits.get(one, set()), splits.get(other, set())
    return bool(own and others and own != others)

"""Folders in VOC's layout: their lists, the pictures and true label maps of the lists, and ids of two splits."""

from itertools import combinations
from pathlib import Path

from pipelines.audit.copies import Pictures, split_of
from pipelines.audit.findings import Findings
from pipelines.audit.masks import Pair
from pipelines.data.voc import image_path, read_split, truth_path
from pipelines.errors import InputError
from pipelines.stores.paths import is_file

_LISTS = Path("ImageSets", "Segmentation")


def check_lists(voc: Path, pictures: Pictures, findings: Findings) -> dict[str, Path]:
    """Check the lists of a VOC folder, and add their pictures to those that are decoded.

    Args:
        voc: The folder.
        pictures: Receives the pictures of the lists.
        findings: Receives what is found.

    Returns:
        The true label maps by image id, of the lists that have some.
    """
    members: dict[str, list[str]] = {}
    truths: dict[str, Path] = {}
    for path in sorted((voc / _LISTS).glob("*.txt")):
        try:
            members[path.stem] = read_split(voc, path.stem)
        except InputError as error:
            findings.raised(error)
    for split, ids in members.items():
        files = {image_id: image_path(voc, image_id) for image_id in ids}
        there = {image_id: file for image_id, file in files.items() if is_file(file)}
        what = f"{voc}: pictures of the list {split} that are not in JPEGImages, all expected"
        missing = [image_id for image_id in ids if image_id not in there]
        findings.cases("image-missing", what, missing, "complete the data set, or take them off the list", True)
        own = {image_id: path for image_id in ids if is_file(path := truth_path(voc, image_id))}
        pictures.add(there.values(), split_of((split,)), needed=bool(own))
        if own:
            truths |= own
            bare = [image_id for image_id in ids if image_id not in own]
            what = f"{voc}: pictures of the list {split} without a true label map, which others of it have"
            findings.cases("truth-missing", what, bare, "add the maps, or take them off the list", True)
    _check_names(voc, members, findings)
    return truths


def check_names(place: str, members: dict[str, set[str]], findings: Findings) -> None:
    """Note names that two splits share.

    Args:
        place: The data set.
        members: The names of the pictures of each list.
        findings: Receives what is found.
    """
    parts = {name: part for name in members if (part := split_of((name,))) is not None}
    for one, other in combinations(parts, 2):
        if parts[one] != parts[other]:
            what = f"{place}: pictures in {one} and in {other}, each in one of them expected"
            both = sorted(members[one] & members[other])
            findings.cases("split-names", what, both, "take them off one list, or figures will be too good")


def _check_names(voc: Path, members: dict[str, list[str]], findings: Findings) -> None:
    check_names(str(voc), {name: set(ids) for name, ids in members.items()}, findings)


def pairs_of(truths: dict[str, Path], voc: Path, pictures: Pictures) -> dict[str, Pair]:
    """Return each true label map with its picture."""
    found = {}
    for image_id, path in truths.items():
        picture = image_path(voc, image_id)
        found[image_id] = Pair(path, picture, pictures.sizes.get(picture))
    return found

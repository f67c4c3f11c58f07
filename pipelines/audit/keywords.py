"""Keywords of pictures: words outside the class list, pictures without a class, and the balance of the classes."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pipelines.audit.findings import Findings, Heard
from pipelines.data.classes import ClassList
from pipelines.data.images import ImageFile
from pipelines.data.keyworded_pictures import KeywordedPictures
from pipelines.data.notes import Notes
from pipelines.errors import InputError

RARE = 1 / 20
"""A class with less than this share of the pictures of the most frequent class is rare."""
FEW = 10
"""A class with fewer pictures than this is rare."""


def check_keywords(
    source: str, images: Path, split: str | None, classes: str | None, findings: Findings
) -> dict[str, ImageFile]:
    """Check the keywords of the pictures of one folder as `s4 pseudo-label` would read them.

    Args:
        source: `auto`, or a table.
        images: The folder.
        split: VOC list to take, or None.
        classes: The class list, as `--classes` takes it; None as the command without that flag.
        findings: Receives what is found.

    Returns:
        Where the pictures with keywords lie, by image id; none if the keywords cannot be used.
    """
    heard = Heard()
    notes = Notes(heard)
    try:
        pictures = KeywordedPictures([images], [source], split, notes)
    except InputError as error:
        findings.raised(error)
        return {}
    for fault in pictures.faults(classes, allow_unplaced=False):
        findings.error(fault.rule, fault.message)
    try:
        known, words = pictures.read(classes)
    except InputError as error:
        findings.raised(error)
        known, words = None, {}
    notes.tell()
    _tell(heard, source == "auto", images.name == "JPEGImages", findings)
    if known is not None:
        counts = Counter(name for some in words.values() for name in some)
        listed = known if classes not in (None, "voc", "auto") else ClassList.from_names(list(counts))
        check_balance(counts, listed, findings)
    return {image_id: pictures.images[image_id] for image_id in words}


def check_balance(counts: Mapping[str, int], classes: ClassList, findings: Findings) -> None:
    """Note classes of few pictures.

    Args:
        counts: How many pictures have each class.
        classes: The class list; a class without a picture counts too.
        findings: Receives what is found.
    """
    if not any(counts.values()):
        return
    most = max(counts.values())
    absent = [name for name in classes.names if not counts.get(name)]
    rare = [
        f"{name} {counts[name]}"
        for name in classes.names
        if counts.get(name) and counts[name] < most and (counts[name] < RARE * most or counts[name] < FEW)
    ]
    advice = "no network can learn them: add pictures, or take them off the class list"
    findings.cases("class-absent", f"{findings.place}: classes without a picture", absent, advice)
    what = f"{findings.place}: classes with less than {RARE:.0%} of the {most} pictures of the largest, or under {FEW}"
    findings.cases("class-rare", what, rare, "add pictures of them")


def _tell(heard: Heard, complete: bool, in_voc: bool, findings: Findings) -> None:
    """Note what was left out. Pictures beside those of a table may be there to evaluate on, and are no finding."""
    for line in (*heard.warnings, *heard.remarks):
        if " ignored: " in line:
            if in_voc:  # elsewhere the survey of the folder tells it
                findings.warning("files-ignored", f"{line}; convert or move them if they matter")
        elif line in heard.warnings:
            findings.warning("pictures-unplaced" if "name no class" in line else "left-out", line)
        elif ("no keyword for" in line and complete) or "not in use" in line:
            findings.warning("pictures-unplaced", f"{line}; name their classes if they matter")

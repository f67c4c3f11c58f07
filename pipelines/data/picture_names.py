"""Which picture a name in somebody's file means.

Tools write the names of pictures with folders of their own, with backslashes, in capitals, or with a whole path. A name
that is no image id is compared without case and suffix: first the whole path, then the base name alone. Only a match
that is unique on both sides counts, so that nothing can land on the wrong picture.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from pathlib import PurePosixPath
from urllib.parse import unquote

from pipelines.data.images import strip_image_suffix
from pipelines.data.notes import Notes

_PICTURES = "JPEGImages/"


class PictureNames:
    """The image ids of a data set, to be found by the names that other files give to the pictures."""

    def __init__(self, image_ids: Collection[str], notes: Notes | None = None) -> None:
        """Take the ids.

        Args:
            image_ids: All image ids.
            notes: Told of names that were matched without their folder or case.
        """
        self._ids = set(image_ids)
        self._notes = notes or Notes()

    def match(self, names: Iterable[str], where: str, taken: Collection[str] = ()) -> dict[str, str]:
        """Find the pictures of names that belong to one file.

        Args:
            names: The names as they stand there.
            where: The file, for messages.
            taken: Image ids that have another name already.

        Returns:
            name -> image_id, for the names that mean one picture of the data set.
        """
        names = list(dict.fromkeys(names))
        found = {name: image_id for name in names if (image_id := self._exact(name)) is not None}
        found = {name: image_id for name, image_id in found.items() if image_id not in taken}
        known = {*taken, *found.values()}
        for key in (_path_key, _base_key):
            left = _unique([name for name in names if name not in found], key)
            table = _unique(self._ids, key) if left else {}
            for written, name in left.items():
                image_id = table.get(written)
                if image_id is not None and image_id not in known:
                    found[name] = image_id
                    known.add(image_id)
                    what = f"{where}: names of pictures matched without their folder, case or suffix"
                    self._notes.decided(what, f"{name} is {image_id}")
        return found

    def _exact(self, name: str) -> str | None:
        inside = name.replace("\\", "/").lstrip("/").removeprefix("./")
        for form in (inside, inside.removeprefix(_PICTURES)):
            for image_id in (form, strip_image_suffix(form)):
                if image_id in self._ids:
                    return image_id
        return None


def _unique(names: Iterable[str], key: Callable[[str], str]) -> dict[str, str]:
    """Return key -> name for the keys that a single name has."""
    table: dict[str, list[str]] = defaultdict(list)
    for name in names:
        table[key(name)].append(name)
    return {written: same[0] for written, same in table.items() if len(same) == 1}


def _path_key(name: str) -> str:
    path = unicodedata.normalize("NFC", unquote(name)).replace("\\", "/")
    return strip_image_suffix(path).lstrip("/").removeprefix("./").casefold()


def _base_key(name: str) -> str:
    return PurePosixPath(_path_key(name)).name

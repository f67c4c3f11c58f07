"""Which picture a name in somebody's file means.

Tools write the names of pictures with folders of their own, with backslashes, in capitals, or with a whole path. A name
that is no image id is compared without case and suffix: first the whole path, then the base name alone. Only a match
that is unique on both sides counts, so that nothing can land on the wrong picture. Of `a.jpg` and `a.png` the one that
is the picture's file counts.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

from pipelines.data.images import ImageFile, strip_image_suffix
from pipelines.data.notes import Notes

_PICTURES = "JPEGImages/"


class PictureNames:
    """The image ids of a data set, to be found by the names that other files give to the pictures."""

    def __init__(self, image_ids: Collection[str] | Mapping[str, ImageFile], notes: Notes | None = None) -> None:
        """Take the ids.

        Args:
            image_ids: All image ids, or the file of each image id.
            notes: Told of names that were matched without their folder or case, and of names that are left out.
        """
        self._ids = set(image_ids)
        self._files: Mapping[str, ImageFile] = image_ids if isinstance(image_ids, Mapping) else {}
        self._notes = notes or Notes()

    def match(
        self, names: Iterable[str], where: str, taken: Collection[str] = (), spellings: bool = False
    ) -> dict[str, str]:
        """Find the pictures of names that belong to one file.

        Args:
            names: The names as they stand there.
            where: The file, for messages.
            taken: Image ids that have another name already.
            spellings: Whether several names of one picture count, such as `a` and `a.jpg`.

        Returns:
            name -> image_id, for the names that mean one picture of the data set.
        """
        names = list(dict.fromkeys(names))
        exact = self._exact(names, taken)
        found: dict[str, str] = {}
        known = {*taken, *exact}
        for image_id, forms in exact.items():
            own = self._own(image_id, forms, spellings)
            found |= dict.fromkeys(own, image_id) if spellings or len(own) == 1 else {}
            is_meant = any(name in found for name in forms)
            why = "another one means the same picture" if is_meant else "several mean one picture, and none is its file"
            for name in [name for name in forms if name not in found]:
                self._notes.left_out(f"{where}: names left out, because {why}", name)
        settled = {name for forms in exact.values() for name in forms}
        for key in (_path_key, _base_key):
            left = _unique([name for name in names if name not in settled and name not in found], key)
            table = _unique(self._ids, key) if left else {}
            for written, name in left.items():
                meant = table.get(written)
                if meant is not None and meant not in known:
                    found[name] = meant
                    known.add(meant)
                    what = f"{where}: names of pictures matched without their folder, case or suffix"
                    self._notes.decided(what, f"{name} is {meant}")
        return found

    def _exact(self, names: Iterable[str], taken: Collection[str]) -> dict[str, dict[str, str]]:
        """Return image_id -> {name: its suffix, or nothing} of the names that are ids."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for name in names:
            inside = name.replace("\\", "/").lstrip("/").removeprefix("./")
            forms = (inside, inside.removeprefix(_PICTURES))
            ids = (image_id for form in forms for image_id in (form, strip_image_suffix(form)) if image_id in self._ids)
            image_id = next(ids, None)
            if image_id is not None and image_id not in taken:
                found[image_id][name] = "" if inside.endswith(image_id) else _suffix(inside)
        return found

    def _own(self, image_id: str, forms: Mapping[str, str], spellings: bool) -> Sequence[str]:
        """Return the names that may stand for one file: that of the picture if one of them does.

        Unless several `spellings` of it count, the one without a folder of its own comes before the others.
        """
        suffixes = set(forms.values()) - {""}
        file = self._files.get(image_id)
        own = "" if file is None else _suffix(file.name)
        right = own if own in suffixes else next(iter(suffixes)) if len(suffixes) == 1 else ""
        names = [name for name, suffix in forms.items() if suffix in ("", right)]
        plain = [name for name in names if own and name.casefold() == f"{image_id}{own}".casefold()]
        return plain if len(plain) == 1 and not spellings else names


def _suffix(name: str) -> str:
    return name[len(strip_image_suffix(name)) :].lower()


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

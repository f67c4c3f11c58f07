"""How people spell the names of classes, and which class of a list they mean.

A word is compared in four steps: as it stands; without case, spaces, `_`, `-` and `/`; as a name that COCO and VOC use
for the same class; and in the singular. The first step at which exactly one class fits decides.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from pipelines.data.classes import IGNORED_NAME
from pipelines.data.notes import Notes

_JOINTS = re.compile(r"[\s_\-/]+")
# Names that COCO and VOC give to the same class, as `name_key` writes them; VOC's name comes last.
_SAME_CLASS = {"airplane": "aeroplane", "couch": "sofa", "motorcycle": "motorbike", "tv": "tvmonitor"}
_IRREGULAR = {"people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse"}
_ENDINGS = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""))  # plural, singular
_NO_PLURAL = ("ss", "us", "is")  # glass, bus, tennis


def name_key(word: str) -> str:
    """Return a word without case, spaces, `_`, `-` and `/`; letters with accents have one form."""
    return _JOINTS.sub("", unicodedata.normalize("NFKC", word)).casefold()


def stands_for_background(word: str) -> bool:
    """Return whether a word means the background, or pixels without a class, as in lists of other programs."""
    return name_key(word) == "background" or word == IGNORED_NAME


def _class_key(word: str) -> str:
    key = name_key(word)
    return _SAME_CLASS.get(key, key)


def _singulars(word: str) -> set[str]:
    """Return what a word may be the plural of, and the word itself, as keys."""
    key = name_key(word)
    stems = {key, _IRREGULAR.get(key, key)}
    if not key.endswith(_NO_PLURAL):
        stems |= {key.removesuffix(end) + instead for end, instead in _ENDINGS if key.endswith(end)}
    return {_class_key(stem) for stem in stems if stem}


class NameMatcher:
    """Finds the class of a list that a word means.

    Attributes:
        names: The names of the list.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Take the names of the classes."""
        self.names = tuple(names)
        self._exact = set(names)
        forms: list[Callable[[str], Iterable[str]]] = [
            lambda name: (name_key(name),),
            lambda name: (_class_key(name),),
            _singulars,
        ]
        self._steps = [(form, _table(names, form)) for form in forms]
        self._known: dict[str, str | None] = {}

    def find(self, word: str) -> str | None:
        """Return the name of the class; None if no class fits, or several do."""
        if word not in self._known:
            self._known[word] = word if word in self._exact else self._look_up(word)
        return self._known[word]

    def tell(self, notes: Notes) -> None:
        """Tell in one line which words were taken for a name that is spelled otherwise."""
        changed = [f"{word!r} is {name}" for word, name in self._known.items() if name is not None and word != name]
        if changed:
            notes.say(f"names of classes that are spelled otherwise: {', '.join(changed)}")

    def _look_up(self, word: str) -> str | None:
        for form, table in self._steps:
            fitting = {name for key in form(word) for name in table.get(key, ())}
            if fitting:
                return fitting.pop() if len(fitting) == 1 else None
        return None


def _table(names: Iterable[str], form: Callable[[str], Iterable[str]]) -> dict[str, set[str]]:
    table: dict[str, set[str]] = defaultdict(set)
    for name in names:
        for key in form(name):
            table[key].add(name)
    return table

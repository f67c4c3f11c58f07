"""The ImageNet synsets of each VOC class, for folders named the ImageNet way.

A class has the synsets that the VOC annotation guidelines would call by its name. So wolves are no dogs, lions no cats,
trams no buses, ambulances and trucks no cars. An animal has whole branches of WordNet, whose numbers follow each other.
A thing has its own synset, and its classes in ImageNet-1k.
Source of the ids: the synset lists of ILSVRC 2012 and of the whole of ImageNet, and WordNet 3.0.
"""

import re

_SYNSETS = {
    "aeroplane": "n02691156 n02690373 n04552348",
    "bicycle": "n02834778 n02835271 n03792782 n04482393 n04509417",
    "boat": """
        n02858304 n02687172 n02951358 n02981792 n03095699 n03344393 n03447447 n03662601 n03673027 n03947888
        n04147183 n04273569 n04483307 n04612504
    """,
    "bottle": "n02876657 n02823428 n03937543 n03983396 n04557648 n04591713",
    "bus": "n02924116 n03769881 n04146614 n04487081",
    "car": """
        n02958343 n02814533 n02930766 n03100240 n03594945 n03670208 n03770679 n03777568 n04037443 n04285008
    """,
    "chair": "n03001627 n02791124 n03376595 n04099969",
    "diningtable": "n03201208",
    "motorbike": "n03790512 n03785016 n03791053",
    "person": "n00007846 n09835506 n10148035 n10565667",
    "pottedplant": "n03991062",
    "sofa": "n04256520 n04344873",
    "train": "n04468005 n02917067 n03272562 n03393912 n03895866 n04310018",
    "tvmonitor": "n04405907 n03782006 n04152593 n04404412",
}
_BRANCHES = (
    ("bird", 1503061, 1627424),  # bird, before amphibian
    ("bird", 1789386, 1861778),  # from gallinaceous birds to waterfowl, before mammal
    ("bird", 2000954, 2062017),  # wading birds and seabirds, before aquatic mammal
    ("dog", 2084071, 2114100),  # dog, before wolf
    ("cat", 2121620, 2124623),  # cat, before wildcat
    ("horse", 2374451, 2389346),  # horse, before ass
    ("cow", 2402425, 2405101),  # cattle, before aurochs
    ("cow", 2405577, 2407959),  # breeds of cattle behind yak and banteng, before buffalo
    ("sheep", 2411705, 2416519),  # sheep, wild ones included, before goat
)  # VOC class, first number of the branch, first number behind it
_CLASSES = {synset: name for name, synsets in _SYNSETS.items() for synset in synsets.split()}
_SYNSET = re.compile(r"n([0-9]{8})")
_PICTURE = re.compile(r"(n[0-9]{8})_[0-9]+")


def is_synset(word: str) -> bool:
    """Return whether a word has the form of a synset's id, such as n02084071, of a VOC class or not."""
    return _SYNSET.fullmatch(word) is not None


def class_of_synset(word: str) -> str | None:
    """Return the VOC class of a synset's id; None for every other word."""
    number = _SYNSET.fullmatch(word)
    if number is None:
        return None
    branch = next((name for name, first, end in _BRANCHES if first <= int(number.group(1)) < end), None)
    return branch or _CLASSES.get(word)


def synset_of_picture(name: str) -> str | None:
    """Return the synset in a picture's name as ImageNet writes it: n02084071_1234; None for other names."""
    parts = _PICTURE.fullmatch(name)
    return parts.group(1) if parts else None

"""Puts VOC's pictures and folders of ImageNet under one root, with one table of keywords, for voc-imagenet.toml.

python join_voc_imagenet.py VOCdevkit/VOC2012 IMAGENET OUT [SPLIT]

OUT/voc and OUT/imagenet are links to the pictures; OUT/keywords.csv names every picture of the split (train_aug) and
every picture in a folder named after a synset of a VOC class.
"""

import sys
from pathlib import Path

from pipelines.data.classes import load_classes
from pipelines.data.images import find_images
from pipelines.data.keywords_files import read_keywords
from pipelines.errors import S4Error
from pipelines.files import write_text


def join(voc: Path, imagenet: Path, out: Path, split: str = "train_aug") -> int:
    """Make the links and the table; return how many pictures are in it."""
    out.mkdir(parents=True, exist_ok=True)
    lines = ["image,keywords"]
    # `JPEGImages` would not do as a name: tables are read as if that part of a path were not there.
    for name, folder, wanted in (("voc", voc / "JPEGImages", split), ("imagenet", imagenet, None)):
        link = out / name
        if not link.exists():
            link.symlink_to(folder.absolute(), target_is_directory=True)
        keywords = read_keywords("auto", find_images(folder), folder, load_classes("voc"), wanted)
        lines += [f"{name}/{image_id},{';'.join(words)}" for image_id, words in keywords.items()]
    write_text(out / "keywords.csv", "".join(f"{line}\n" for line in lines))
    return len(lines) - 1


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    try:
        count = join(*map(Path, sys.argv[1:4]), *sys.argv[4:])
    except S4Error as error:
        sys.exit(f"error: {error}")
    sys.stdout.write(f"{count} pictures in {sys.argv[3]}/keywords.csv\n")

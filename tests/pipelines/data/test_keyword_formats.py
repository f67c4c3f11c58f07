"""The same pictures, with the same keywords told in every form that is read: the tables must be equal."""

import csv
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from scipy.io import savemat

from pipelines.data.classes import VOC_CLASSES, load_classes
from pipelines.data.images import find_images
from pipelines.data.keywords_files import read_keywords
from pipelines.errors import InputError

Table = dict[str, tuple[str, ...]]
Layout = Callable[[Path, Table], "Path | str"]  # makes root/pictures, and gives what --keywords is to be

ONE_EACH: Table = {
    "2007_000001": ("cat",),
    "2007_000002": ("dog",),
    "2008_000003": ("person",),
    "2009_000004": ("sofa",),
}
SEVERAL: Table = {"2007_000001": ("cat", "sofa"), "2007_000002": ("dog",), "2008_000003": ("bird", "dog", "person")}
SYNSETS = {"bird": "n01530575", "cat": "n02123045", "dog": "n02085620", "person": "n00007846", "sofa": "n04344873"}


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def flat(root: Path, table: Table) -> None:
    for name in table:
        touch(root / "pictures" / f"{name}.jpg")


def write_tar(path: Path, members: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))


def save_vectors(path: Path, table: Table, key: Callable[[str], object]) -> Path:
    vectors = {key(name): np.array([c in words for c in VOC_CLASSES], np.float32) for name, words in table.items()}
    np.save(path, vectors, allow_pickle=True)  # type: ignore[arg-type]
    return path


def npy_with_texts(root: Path, table: Table) -> Path:
    flat(root, table)
    return save_vectors(root / "cls_labels.npy", table, str)


def npy_with_numbers(root: Path, table: Table) -> Path:
    flat(root, table)
    return save_vectors(root / "cls_labels.npy", table, lambda name: np.int32(name.replace("_", "")))


def npy_with_plain_numbers(root: Path, table: Table) -> Path:
    flat(root, table)
    return save_vectors(root / "cls_labels.npy", table, lambda name: int(name.replace("_", "")))


def csv_table(root: Path, table: Table) -> Path:
    flat(root, table)
    buffer = io.StringIO()
    csv.writer(buffer).writerows(
        [("image", "keywords"), *((f"{name}.jpg", ";".join(words)) for name, words in table.items())]
    )
    return touch(root / "keywords.csv", buffer.getvalue())


def class_numbers(root: Path, table: Table) -> Path:
    flat(root, table)
    lines = (" ".join([name, *(str(VOC_CLASSES.index(word)) for word in words)]) for name, words in table.items())
    return touch(root / "train_cls.txt", "\n".join(lines))


def coco(root: Path, table: Table) -> Path:
    flat(root, table)
    names = {"sofa": "couch"}  # COCO's own word
    pairs = [(number, VOC_CLASSES.index(word)) for number, words in enumerate(table.values()) for word in words]
    content = {
        "images": [{"id": number, "file_name": f"{name}.jpg"} for number, name in enumerate(table)],
        "categories": [{"id": number, "name": names.get(name, name)} for number, name in enumerate(VOC_CLASSES)],
        "annotations": [{"image_id": image, "category_id": category} for image, category in pairs],
    }
    return touch(root / "instances.json", json.dumps(content))


def sbd(root: Path, table: Table) -> Path:
    flat(root, table)
    (root / "cls").mkdir()
    for name, words in table.items():
        present = np.array([[VOC_CLASSES.index(word) + 1] for word in words], np.uint8)
        savemat(root / "cls" / f"{name}.mat", {"GTcls": {"CategoriesPresent": present}})
    return root / "cls"


def voc_lists(root: Path, table: Table) -> str:
    flat(root, table)
    for word in VOC_CLASSES:
        lines = (f"{name} {' 1' if word in words else '-1'}" for name, words in table.items())
        touch(root / "ImageSets" / "Main" / f"{word}_train.txt", "\n".join(lines))
    return "auto"


def voc_xml(root: Path, table: Table) -> str:
    flat(root, table)
    for name, words in table.items():
        objects = "".join(f"<object><name>{word}</name></object>" for word in words)
        touch(root / "Annotations" / f"{name}.xml", f"<annotation>{objects}</annotation>")
    return "auto"


def shards_with_cls(root: Path, table: Table) -> str:
    for number, (name, words) in enumerate(table.items()):
        members = {f"{name}.cls": ";".join(words) + "\n", f"{name}.jpg": "", f"{name}.json": "{}"}
        write_tar(root / "pictures" / f"shard-{number:06d}.tar", members)
    return "auto"


def shards_with_synsets_in_txt(root: Path, table: Table) -> str:
    members = {}
    for name, words in table.items():
        members |= {f"{name}.jpg": "", f"{name}.txt": "; ".join(SYNSETS[word] for word in words)}
    write_tar(root / "pictures" / "shard-000000.tar", members)
    return "auto"


def class_folders(root: Path, table: Table) -> str:
    for name, (word,) in table.items():
        touch(root / "pictures" / word / f"{name}.jpg")
    return "auto"


def synset_folders(root: Path, table: Table) -> str:
    for name, (word,) in table.items():
        touch(root / "pictures" / SYNSETS[word] / f"{name}.jpg")
    return "auto"


def tar_for_each_synset(root: Path, table: Table) -> str:
    for name, (word,) in table.items():
        write_tar(root / "pictures" / f"{SYNSETS[word]}.tar", {f"{name}.jpg": ""})
    return "auto"


def shards_with_synset_folders(root: Path, table: Table) -> str:
    members = {f"{SYNSETS[word]}/{name}.jpg": "" for name, (word,) in table.items()}
    # The number of the class in somebody's list lies beside, as WebDataset has it; the folder is enough.
    write_tar(root / "pictures" / "train-000000.tar", members | {f"{name[:-4]}.cls": "281" for name in members})
    return "auto"


FOR_SEVERAL: list[Layout] = [
    npy_with_texts, npy_with_numbers, npy_with_plain_numbers, csv_table, class_numbers, coco, sbd, voc_lists, voc_xml,
    shards_with_cls, shards_with_synsets_in_txt,
]  # fmt: skip
FOR_ONE: list[Layout] = [class_folders, synset_folders, tar_for_each_synset, shards_with_synset_folders]


def read(root: Path, source: Path | str) -> Table:
    folder = root / "pictures"
    return read_keywords(str(source), find_images(folder), folder, load_classes("voc"))


@pytest.mark.parametrize("layout", [*FOR_SEVERAL, *FOR_ONE], ids=lambda layout: layout.__name__)
def test_every_format_gives_the_same_table_for_the_same_pictures(layout: Layout, tmp_path: Path) -> None:
    for number, table in enumerate([ONE_EACH, SEVERAL] if layout in FOR_SEVERAL else [ONE_EACH]):
        root = tmp_path / str(number)
        found = read(root, layout(root, table))
        assert {PurePosixPath(image_id).name: words for image_id, words in found.items()} == table


def test_a_picture_that_coco_lists_twice_has_the_categories_of_both(tmp_path: Path) -> None:
    touch(tmp_path / "pictures" / "a.jpg")
    content = {
        "images": [{"id": n, "file_name": "a.jpg"} for n in (1, 2)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"image_id": n, "category_id": n} for n in (1, 2)],
    }
    assert read(tmp_path, touch(tmp_path / "k.json", json.dumps(content))) == {"a": ("cat", "dog")}
    content["images"][1]["file_name"] = "a.png"  # another picture, which is not here
    with pytest.raises(InputError, match=r"1 of 2 pictures are not in the folder \(a\.png\)"):
        read(tmp_path, touch(tmp_path / "k.json", json.dumps(content)))


# --- what only shards have


def shard(root: Path, members: dict[str, str], name: str = "shard-0.tar") -> Path:
    write_tar(root / "pictures" / name, members)
    return root


def test_a_folder_comes_before_the_text_beside_a_picture(tmp_path: Path) -> None:
    members = {"dog/a.jpg": "", "dog/a.cls": "cat", "b.jpg": "", "b.cls": "cat"}
    assert read(shard(tmp_path, members), "auto") == {"shard-0/b": ("cat",), "shard-0/dog/a": ("dog",)}


def test_a_text_that_names_no_class_leaves_the_word_to_the_next(tmp_path: Path) -> None:
    members = {"a.jpg": "", "a.cls": "zebra", "a.txt": "cat", "b.jpg": "", "b.txt": "a cat on a sofa"}
    assert read(shard(tmp_path, members), "auto") == {"shard-0/a": ("cat",)}


def test_names_are_cut_at_the_last_dot_and_then_at_the_first(tmp_path: Path) -> None:
    members = {"a.v2.jpg": "", "a.v2.cls": "cat", "b.left.jpg": "", "b.right.jpg": "", "b.cls": "dog"}
    assert read(shard(tmp_path, members), "auto") == {
        "shard-0/a.v2": ("cat",),
        "shard-0/b.left": ("dog",),
        "shard-0/b.right": ("dog",),
    }


def test_imagenet_names_tell_the_synset_without_a_folder(tmp_path: Path) -> None:
    members = {"n02123045_10.jpg": "", "n02123045_10.cls": "281", "n01440764_3.jpg": "", "n01440764_3.cls": "0"}
    touch(tmp_path / "pictures" / "n02085620_7.JPEG")
    assert read(shard(tmp_path, members), "auto") == {"n02085620_7": ("dog",), "shard-0/n02123045_10": ("cat",)}


def test_a_class_number_alone_is_refused_for_nobody_knows_its_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"shard-0\.tar:a\.cls: holds the number 281.*--keywords.*\[keywords-file\]"):
        read(shard(tmp_path, {"a.jpg": "", "a.cls": "281\n"}), "auto")


def test_a_table_names_pictures_in_shards_by_their_ids(tmp_path: Path) -> None:
    shard(tmp_path, {"a.jpg": "", "sub/b.jpg": ""})
    table = touch(tmp_path / "k.csv", "image,keywords\nshard-0/a,cat\nshard-0/sub/b.jpg,dog\n")
    assert read(tmp_path, table) == {"shard-0/a": ("cat",), "shard-0/sub/b": ("dog",)}


def test_shards_without_keywords_say_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"key\.cls in tars.*\[keywords-none\]"):
        read(shard(tmp_path, {"a.jpg": "", "a.txt": "\xff"}), "auto")

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from pipelines.data.classes import VOC_CLASSES, ClassList, load_classes
from pipelines.data.images import find_images
from pipelines.data.keywords_files import read_keywords
from pipelines.errors import InputError

VOC = load_classes("voc")
ANIMALS = ClassList.from_names(["cat", "dog", "person"])
TABLE = {"2007_000001": ("cat",), "2007_000002": ("dog", "person"), "2008_000003": ("person",)}


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The three pictures of TABLE, and one that no source names."""
    for image_id in (*TABLE, "2008_000004"):
        write(tmp_path / "JPEGImages" / f"{image_id}.jpg")
    return tmp_path / "JPEGImages"


def read(folder: Path, source: Path | str = "auto", classes: ClassList = VOC, split: str | None = None) -> dict:
    return read_keywords(str(source), find_images(folder), folder, classes, split)


def refusal(
    folder: Path, source: Path | str = "auto", classes: ClassList = VOC, split: str | None = None
) -> InputError:
    with pytest.raises(InputError) as caught:
        read(folder, source, classes, split)
    return caught.value


def write_lists(folder: Path, split: str = "train") -> None:
    for name in ("cat", "dog", "person"):
        lines = [f"{image_id} {' 1' if name in keywords else '-1'}" for image_id, keywords in TABLE.items()]
        write(folder.parent / "ImageSets" / "Main" / f"{name}_{split}.txt", "\n".join([*lines, "2008_000004 -1\n"]))


def write_xml(path: Path, *names: str) -> None:
    parts = "<part><name>head</name><bndbox/></part>"
    objects = "".join(f"<object><name>{name}</name>{parts}</object>" for name in names)
    write(path, f"<annotation><filename>x</filename>{objects}</annotation>")


def vector(keywords: tuple[str, ...]) -> np.ndarray:
    return np.array([name in keywords for name in VOC_CLASSES], np.float32)


def save_vectors(folder: Path, table: dict) -> Path:
    path = folder.parent / "cls_labels.npy"
    np.save(path, table, allow_pickle=True)  # type: ignore[arg-type]
    return path


def numbers(keywords: tuple[str, ...]) -> str:
    return " ".join(str(VOC_CLASSES.index(name)) for name in keywords)


def write_coco(path: Path, table: dict[str, tuple[str, ...]]) -> Path:
    """COCO's names and ids with gaps, a category that is no VOC class, and a keyword that is annotated twice."""
    coco_names = {"sofa": "couch"}
    categories = {10 * (i + 1): coco_names.get(name, name) for i, name in enumerate(VOC_CLASSES)} | {5: "zebra"}
    of_name = {name: 10 * (i + 1) for i, name in enumerate(VOC_CLASSES)}
    named = [(i, of_name[k]) for i, words in enumerate(table.values()) for k in words]
    content = {
        "images": [{"id": i, "file_name": f"{name}.jpg"} for i, name in enumerate(table)],
        "categories": [{"id": i, "name": name} for i, name in categories.items()],
        "annotations": [{"image_id": i, "category_id": c} for i, c in [*named, named[0], (0, 5)]],
    }
    return write(path, json.dumps(content))


def write_sbd(folder: Path, table: dict[str, tuple[str, ...]]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, words in table.items():
        present = np.array([[VOC_CLASSES.index(word) + 1] for word in words], np.uint8)
        segmentation = np.zeros((4, 5), np.uint8)
        savemat(folder / f"{name}.mat", {"GTcls": {"CategoriesPresent": present, "Segmentation": segmentation}})
    return folder


def test_coco_categories_are_spelled_in_any_way(folder: Path) -> None:
    names = ["Dog", "cat", "TV", "dining_table", "Person ", "sheep"]
    content = {
        "images": [{"id": 1.0, "file_name": "images\\2007_000001.jpg"}, {"id": 2, "file_name": "2007_000002.jpg"}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
        "annotations": [{"image_id": "1", "category_id": n} for n in range(4)] + [{"image_id": 2, "category_id": "4"}],
    }
    source = write(folder.parent / "k.json", json.dumps(content))
    assert read(folder, source) == {
        "2007_000001": ("cat", "diningtable", "dog", "tvmonitor"),
        "2007_000002": ("person",),
    }


def test_coco_categories_keep_their_own_names_for_own_classes(folder: Path) -> None:
    source = write_coco(folder.parent / "k.json", {"2007_000001": ("sofa",)})
    assert read(folder, source, ClassList.from_names(["couch", "zebra"])) == {"2007_000001": ("couch", "zebra")}


@pytest.mark.parametrize(
    "change",
    [
        {"categories": []},
        {"images": []},
        {"annotations": [{"image_id": 0}]},
        {"annotations": 5},
        {"images": [{"id": 0}]},
        {"images": None},
    ],
)
def test_coco_json_that_does_not_hold_together_is_refused(change: dict, folder: Path) -> None:
    source = write_coco(folder.parent / "k.json", {"2007_000001": ("cat",)})
    write(source, json.dumps(json.loads(source.read_text()) | change))
    error = refusal(folder, source)
    assert error.rule == "keywords-file"
    assert "k.json" in str(error)


def test_a_folder_without_files_of_the_pictures_is_refused(folder: Path) -> None:
    error = refusal(folder, write_sbd(folder.parent / "cls", {"other": ("cat",)}))
    assert error.rule == "keywords-file"
    assert "no file is named after a picture" in str(error)


@pytest.mark.parametrize(
    "content",
    [{"GTinst": 1}, {"GTcls": 3}, {"GTcls": {"CategoriesPresent": [21]}}, {"GTcls": {"CategoriesPresent": [0]}}],
)
def test_mat_files_of_another_kind_are_refused(content: dict, folder: Path) -> None:
    (folder.parent / "cls").mkdir()
    savemat(folder.parent / "cls" / "2007_000001.mat", content)
    error = refusal(folder, folder.parent / "cls")
    assert error.rule == "keywords-file"
    assert "2007_000001.mat" in str(error)


def test_a_damaged_mat_file_is_refused(folder: Path) -> None:
    write(folder.parent / "cls" / "2007_000001.mat", "MATLAB 5.0 MAT-file, cut off")
    assert refusal(folder, folder.parent / "cls").rule == "keywords-file"


def test_the_order_is_that_of_pictures_and_classes(folder: Path) -> None:
    source = write(folder.parent / "k.csv", "image,keywords\n2008_000003,person;cat;person\n2007_000001,dog\n")
    classes = ClassList.from_names(["person", "dog", "cat"])
    assert list(read(folder, source, classes).items()) == [
        ("2007_000001", ("dog",)),
        ("2008_000003", ("person", "cat")),
    ]


def test_voc_classes_that_are_not_in_use_are_passed_over(folder: Path) -> None:
    cats = ClassList.from_names(["cat"])
    source = write(folder.parent / "k.csv", "image,keywords\n2007_000001,cat;sofa\n2007_000002,dog\n")
    assert read(folder, source, cats) == {"2007_000001": ("cat",)}
    source = write(folder.parent / "k.txt", "2007_000001 7 17\n2007_000002 11\n")
    assert read(folder, source, cats) == {"2007_000001": ("cat",)}
    write_lists(folder)
    assert read(folder, "auto", cats) == {"2007_000001": ("cat",)}


# --- auto


def test_sub_folders_named_after_classes_or_synsets_come_first(tmp_path: Path) -> None:
    folder = tmp_path / "JPEGImages"
    names = ["cat/a", "train/n02084071/b", "n02099601/c", "n01440764/fish", "dog/cat/d", "e"]
    for name in names:
        write(folder / f"{name}.jpg")
    write(tmp_path / "ImageSets" / "Main" / "cat_train.txt", "e 1\n")
    expected = {"cat/a": ("cat",), "dog/cat/d": ("cat",), "n02099601/c": ("dog",), "train/n02084071/b": ("dog",)}
    assert read(folder, "auto", ANIMALS) == expected
    cats = {name: keywords for name, keywords in expected.items() if keywords == ("cat",)}
    assert read(folder, "auto", ClassList.from_names(["cat"])) == cats


def test_present_but_hard_to_see_counts_as_present(folder: Path) -> None:
    write(folder.parent / "ImageSets" / "Main" / "cat_val.txt", "2007_000001  0\n2007_000002 -1\n")
    assert read(folder) == {"2007_000001": ("cat",)}


def test_a_split_takes_its_own_lists(folder: Path) -> None:
    main = folder.parent / "ImageSets" / "Main"
    write(main / "cat_train.txt", "2007_000001 1\n")
    write(main / "cat_val.txt", "2007_000002 1\n")
    write(main / "val.txt", "2007_000002\n")
    assert read(folder, split="train") == {"2007_000001": ("cat",)}
    assert list(read(folder)) == ["2007_000001", "2007_000002"]


def test_a_split_without_lists_of_its_own_picks_from_all(folder: Path) -> None:
    write_lists(folder, "trainval")
    write(folder.parent / "ImageSets" / "Segmentation" / "train_aug.txt", "2007_000002\n2008_000004\n")
    assert read(folder, split="train_aug") == {"2007_000002": ("dog", "person")}
    source = write(folder.parent / "k.csv", "image,keywords\n2007_000001,cat\n2007_000002,dog\nabsent,cat\n")
    assert read(folder, source, split="train_aug") == {"2007_000002": ("dog",)}
    error = refusal(folder, split="val")
    assert error.rule == "split-missing"
    assert "train_aug" in str(error)


def test_class_names_with_underscores_keep_their_lists_apart(folder: Path) -> None:
    main = folder.parent / "ImageSets" / "Main"
    write(main / "sea_train.txt", "2007_000001 1\n")
    write(main / "sea_lion_train.txt", "2007_000002 1\n")
    table = read(folder, "auto", ClassList.from_names(["sea", "sea_lion"]))
    assert table == {"2007_000001": ("sea",), "2007_000002": ("sea_lion",)}


def test_xml_is_found_beside_the_pictures(folder: Path) -> None:
    write_xml(folder / "2007_000001.xml", "cat", "lamp", "cat")
    assert read(folder) == {"2007_000001": ("cat",)}


def test_parts_of_objects_are_no_keywords(folder: Path) -> None:
    write_xml(folder / "2007_000001.xml", "person")
    assert read(folder, "auto", ClassList.from_names(["head", "person"])) == {"2007_000001": ("person",)}


@pytest.mark.parametrize("text", ["", "<annotation><object>", "no xml"])
def test_damaged_xml_is_refused(text: str, folder: Path) -> None:
    write(folder / "2007_000001.xml", text)
    error = refusal(folder)
    assert error.rule == "keywords-file"
    assert "2007_000001.xml" in str(error)


def test_a_damaged_list_is_refused(folder: Path) -> None:
    write(folder.parent / "ImageSets" / "Main" / "cat_train.txt", "2007_000001 1\n2007_000002 yes\n")
    error = refusal(folder)
    assert error.rule == "keywords-file"
    assert "line 2 is '2007_000002 yes'" in str(error)


def test_no_source_at_all_says_what_was_looked_for(folder: Path) -> None:
    error = refusal(folder)
    assert error.rule == "keywords-none"
    assert "ImageSets/Main" in str(error)


# --- files


@pytest.mark.parametrize(
    "name", ["2007_000001", "2007_000001.jpg", "JPEGImages/2007_000001.jpg", "/JPEGImages/2007_000001.jpg"]
)
def test_a_picture_may_be_named_in_several_ways(name: str, folder: Path) -> None:
    assert read(folder, write(folder.parent / "k.csv", f"image,keywords\n{name},cat\n")) == {"2007_000001": ("cat",)}
    assert read(folder, write(folder.parent / "k.txt", f"{name} 7\n")) == {"2007_000001": ("cat",)}


def test_a_dot_in_a_name_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "pictures" / "a.v2.jpg")
    source = write(tmp_path / "k.csv", "image,keywords\na.v2,cat\n")
    assert read(tmp_path / "pictures", source) == {"a.v2": ("cat",)}


def test_a_table_from_a_spreadsheet_is_read(folder: Path) -> None:
    source = folder.parent / "k.csv"
    source.write_bytes(b'\xef\xbb\xbfimage,keywords\r\n"2007_000001.jpg"," cat ; dog;"\r\n\r\n2007_000001,person\r\n')
    assert read(folder, source) == {"2007_000001": ("cat", "dog", "person")}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize(
    "text",
    [
        "image,keywords\n2007_000001,cat;dog\n2007_000002,person\n",
        "Image;KEYWORDS\n2007_000001.jpg;Cat;DOG\n2007_000002;people\n",
        "image\tkeywords\n2007_000001\tcat, dog\n2007_000002\tPerson\t\n",
        'image,keywords\n"2007_000001","cat, dog"\n"2007_000002","person"\n',
        "image,keywords\r\n2007_000001,cat,dog\r\n2007_000002,person,\r\n,,\r\n",
        "sep=;\r\nimage;keywords\r\n2007_000001;cat|dogs\r\n2007_000002;person\r\n",
        "\n image , keywords \n2007_000001,cat;dog\n2007_000002,person\n",
    ],
)
def test_tables_as_people_save_them_say_the_same(text: str, encoding: str, folder: Path) -> None:
    source = folder.parent / "k.csv"
    bom = "\ufeff" if encoding == "utf-16-le" else ""
    source.write_bytes((bom + text).encode(encoding))
    assert read(folder, source) == {"2007_000001": ("cat", "dog"), "2007_000002": ("person",)}


def test_all_faults_of_a_table_are_in_one_message(folder: Path) -> None:
    rows = "2007_000001,cat;zebr\n2007_000002\n,dog\n2008_000003,zebr;Persn\nabsent,cat\ngone,dog\n"
    error = refusal(folder, write(folder.parent / "k.csv", f"image,keywords\n{rows}"))
    assert error.rule == "keywords-file"
    for part in (
        "5 faults: ",
        "line 3 is '2007_000002'",
        "line 4 is ',dog'",
        "2007_000001 and 1 more: class 'zebr': unknown",
        "2008_000003: class 'Persn': unknown, expected one of the 20 classes; did you mean 'person'?",
        "2 of 4 pictures are not in the folder (absent, gone)",
    ):
        assert part in str(error)


def test_names_that_differ_in_folder_or_case_find_their_picture(folder: Path) -> None:
    source = write(folder.parent / "k.csv", "image,keywords\nother\\2007_000001.JPG,cat\nX/2007_000002.png,dog\n")
    assert read(folder, source) == {"2007_000001": ("cat",), "2007_000002": ("dog",)}


def test_lists_and_xml_spell_names_in_any_way(folder: Path) -> None:
    write_xml(folder / "2007_000001.xml", "Cat", "TV/Monitor", "lamp")
    assert read(folder) == {"2007_000001": ("cat", "tvmonitor")}
    write(folder.parent / "ImageSets" / "Main" / "Dining_Table_train.txt", "2007_000002 1\n")
    assert read(folder) == {"2007_000002": ("diningtable",)}


def test_pictures_without_keyword_are_left_out(folder: Path) -> None:
    source = write(folder.parent / "k.csv", "image,keywords\n2007_000001,\n2007_000002,dog\n")
    assert read(folder, source) == {"2007_000002": ("dog",)}


def test_an_unknown_keyword_names_picture_and_nearest_class(folder: Path) -> None:
    source = write(folder.parent / "k.csv", "image,keywords\n2007_000001.jpg,cat;Persn\n")
    error = refusal(folder, source)
    assert error.rule == "class-unknown"
    assert all(part in str(error) for part in ("k.csv", "2007_000001", "'Persn'", "did you mean 'person'?"))
    other = ClassList.from_names(["cat", "sea lion"])
    assert refusal(folder, write(source, "image,keywords\n2007_000001,dog\n"), other).rule == "class-unknown"


def test_pictures_that_are_not_there_are_counted_and_five_are_named(folder: Path) -> None:
    rows = "".join(f"x{number}.jpg,cat\n" for number in range(6))
    error = refusal(folder, write(folder.parent / "k.csv", f"image,keywords\n2007_000001,cat\n{rows}"))
    assert error.rule == "keywords-picture-missing"
    assert "6 of 7 pictures" in str(error)
    assert "(x0, x1, x2, x3, x4, ...)" in str(error)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("k.csv", ""),
        ("k.csv", "2007_000001,cat\n"),
        ("k.csv", "image|keywords\n"),
        ("k.csv", "image,keywords,more\n"),
        ("k.csv", "image,keywords\n2007_000001\n"),
        ("k.csv", "image,keywords\n,cat\n"),
        ("k.txt", "2007_000001 cat\n"),
        ("k.txt", "2007_000001 20\n"),
        ("k.txt", "2007_000001 -1\n"),
        ("k.json", "{}"),
        ("keywords", ""),
    ],
)
def test_tables_that_cannot_be_read_are_refused(name: str, text: str, folder: Path) -> None:
    error = refusal(folder, write(folder.parent / name, text))
    assert error.rule == "keywords-file"
    assert name in str(error)


@pytest.mark.parametrize("name", ["none.csv", "none.npy", "none.txt", "none.json"])
def test_a_missing_table_is_told(name: str, folder: Path) -> None:
    assert refusal(folder, folder.parent / name).rule == "file-missing"


def test_a_table_without_any_class_in_use_is_refused(folder: Path) -> None:
    for name, text in (("k.csv", "image,keywords\n"), ("k.txt", ""), ("k.txt", "2007_000001 3\n")):
        assert refusal(folder, write(folder.parent / name, text), ANIMALS).rule == "keywords-none"


@pytest.mark.parametrize(
    "table",
    [
        {"2007_000001": np.ones(19)},
        {"2007_000001": np.full(20, 0.5)},
        {"2007_000001": np.full(20, np.nan)},
        {"2007_000001": np.ones((20, 1))},
        {"2007_000001": "cat"},
        {"2007_000001": None},
        {"2007_000001": [[1], [1, 2]]},
        {2.5: np.ones(20)},
    ],
)
def test_vectors_that_cannot_be_are_refused(table: dict, folder: Path) -> None:
    assert refusal(folder, save_vectors(folder, table)).rule == "keywords-file"


def test_vectors_may_count_the_classes_in_use(folder: Path) -> None:
    source = save_vectors(folder, {"2007_000001": np.array([0, 1, 1])})
    assert read(folder, source, ANIMALS) == {"2007_000001": ("dog", "person")}
    other = ClassList.from_names(["lamp", "desk", "shelf"])
    assert read(folder, source, other) == {"2007_000001": ("desk", "shelf")}
    numbers = write(folder.parent / "k.txt", "2007_000001 1 2\n")
    assert read(folder, numbers, other) == {"2007_000001": ("desk", "shelf")}

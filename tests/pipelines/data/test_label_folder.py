import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.classes import ClassList, load_classes
from pipelines.data.label_folder import LabelFolder, open_labels
from pipelines.data.label_maps import write_palette_map
from pipelines.errors import InputError

ANIMALS = ClassList.from_names(["cat", "dog"])
LABELS = np.array([[0, 1], [2, 255]], np.uint8)
IN_FILES = np.array([[0, 8], [12, 255]], np.uint8)  # VOC's cat and dog


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = LabelFolder(tmp_path / "labels-v1", ANIMALS)
    folder.write_label("b", LABELS)
    folder.write_label("sub/a", LABELS)
    folder.write_confidence("sub/a", np.full((2, 2), 200, np.uint8))
    folder.write_manifest(weights_sha256="00ff")
    return folder.path


def rule_of(path: Path, kind: str, classes: ClassList | None = None) -> str:
    with pytest.raises(InputError) as caught:
        open_labels(path, kind, classes)  # type: ignore[arg-type]
    return caught.value.rule


def test_what_was_written_is_read_back(made: Path) -> None:
    folder = open_labels(made, "pseudo", None)
    assert folder.ids() == ["b", "sub/a"]
    assert folder.classes == ANIMALS
    assert folder.manifest == {"kind": "pseudo", "classes": ["cat", "dog"], "weights_sha256": "00ff"}
    np.testing.assert_array_equal(folder.read_label("sub/a"), LABELS)
    np.testing.assert_array_equal(folder.read_palette_map("sub/a"), IN_FILES)


def test_files_lie_where_the_layout_says(made: Path) -> None:
    files = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    assert files == ["confidence/sub/a.png", "labels/b.png", "labels/sub/a.png", "manifest.json"]
    with Image.open(made / "confidence" / "sub" / "a.png") as image:
        assert image.mode == "L"
        assert image.getpixel((0, 0)) == 200
    assert json.loads((made / "manifest.json").read_text())["kind"] == "pseudo"


def test_a_folder_without_manifest_is_not_taken_for_pseudo_labels(tmp_path: Path) -> None:
    write_palette_map(tmp_path / "a.png", IN_FILES)
    with pytest.raises(InputError, match=r"--labels-are ground-truth.*\[labels-unmarked\]"):
        open_labels(tmp_path, "pseudo", None)


def test_ground_truth_lies_flat_and_has_the_given_classes(tmp_path: Path) -> None:
    write_palette_map(tmp_path / "sub" / "a.png", IN_FILES)
    folder = open_labels(tmp_path, "ground-truth", ANIMALS)
    assert folder.ids() == ["sub/a"]
    assert folder.label_path("sub/a") == tmp_path / "sub" / "a.png"
    assert folder.classes == ANIMALS
    assert folder.manifest == {}
    np.testing.assert_array_equal(folder.read_label("sub/a"), LABELS)
    assert open_labels(tmp_path, "ground-truth", None).classes == load_classes("voc")


def test_pseudo_labels_are_not_taken_for_ground_truth(made: Path) -> None:
    assert rule_of(made, "ground-truth") == "labels-kind"


@pytest.mark.parametrize(
    ("manifest", "rule"),
    [
        ('{"kind": "ground truth", "classes": ["cat", "dog"]}', "labels-kind"),
        ("[]", "labels-kind"),
        ('{"kind": "pseudo"}', "labels-classes"),
        ('{"kind": "pseudo", "classes": [1]}', "labels-classes"),
        ('{"kind": "pseudo", "classes": []}', "classes-count"),
        ('{"kind": ', "json-damaged"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(manifest: str, rule: str, made: Path) -> None:
    (made / "manifest.json").write_text(manifest)
    assert rule_of(made, "pseudo") == rule


def test_other_classes_than_expected_are_refused(made: Path) -> None:
    assert open_labels(made, "pseudo", ANIMALS).classes == ANIMALS
    with pytest.raises(InputError, match=r"labels are of cat, dog, expected aeroplane, .* \(20 classes\)"):
        open_labels(made, "pseudo", load_classes("voc"))


def test_missing_and_empty_folders_are_told(tmp_path: Path) -> None:
    assert rule_of(tmp_path / "none", "pseudo") == "folder-missing"
    assert rule_of(tmp_path, "ground-truth") == "folder-empty"
    LabelFolder(tmp_path, ANIMALS).write_manifest()
    assert rule_of(tmp_path, "pseudo") == "folder-missing"
    (tmp_path / "labels").mkdir()
    assert rule_of(tmp_path, "pseudo") == "folder-empty"


def test_a_picture_without_label_map_is_told(made: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png.*image-missing"):
        open_labels(made, "pseudo", None).read_label("none")


def test_only_png_files_count_as_label_maps(made: Path) -> None:
    Image.new("RGB", (2, 2)).save(made / "labels" / "overlay.jpg")
    assert open_labels(made, "pseudo", None).ids() == ["b", "sub/a"]

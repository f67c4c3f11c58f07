"""`s4 check`: a clean folder of every kind gives no finding, and a made-up folder for each rule gives that rule."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.audit import findings as findings_module
from pipelines.audit.pictures import in_threads
from pipelines.check import check
from pipelines.config import CheckConfig, usual_places
from pipelines.data.classes import ClassList
from pipelines.data.label_folder import LabelFolder
from pipelines.data.label_maps import write_palette_map
from pipelines.data.rle import encode_masks
from pipelines.errors import InputError
from pipelines.events import Events
from pipelines.files import write_json
from pipelines.rules.table import RULES
from s4cli.main import main

H, W = 24, 32
ROOT = Path(__file__).parent.parent.parent
NONE: dict[str, list[str]] = {"errors": [], "warnings": []}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current folder, and an installation with a network."""
    monkeypatch.chdir(tmp_path)
    shipped = tmp_path.parent / f"{tmp_path.name}-shipped.safetensors"
    shipped.touch()
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", shipped)


def pixels(number: int) -> NDArray[np.uint8]:
    """A picture of large random patches; each number gives another one."""
    patches = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return np.kron(patches, np.ones((H // 6, W // 8, 1), np.uint8))


def picture(path: str, number: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(number)).save(path)


def mask(path: str, value: int = 8, size: tuple[int, int] = (H, W)) -> None:
    label_map = np.zeros(size, np.uint8)
    label_map[2:9, 2:9] = value
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_palette_map(Path(path), label_map)


def coco(path: str, names: list[str]) -> dict[str, Any]:
    """A sound COCO file with one mask in each picture; returns its content."""
    one = np.zeros((1, H, W), np.uint8)
    one[:, 3:9, 3:9] = 1
    (rle,) = encode_masks(one)
    content: dict[str, Any] = {
        "images": [{"id": i, "file_name": name, "height": H, "width": W} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "segmentation": dict(rle)} for i in range(len(names))
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }
    rewrite(path, content)
    return content


def rewrite(path: str, content: dict[str, Any]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content))


def class_folders() -> None:
    for number in range(24):
        picture(f"data/{'cat' if number % 2 else 'dog'}/{number}.png", number)


def voc() -> None:
    """A VOC folder with masks: four pictures to train on, two to evaluate on."""
    for number in range(6):
        picture(f"data/JPEGImages/{number}.jpg", number)
        mask(f"data/SegmentationClass/{number}.png", 8)
    lists("train", "0123")
    lists("val", "45")
    main_lists = Path("data/ImageSets/Main")
    main_lists.mkdir(parents=True)
    for split, ids in (("train", "0123"), ("val", "45")):
        (main_lists / f"cat_{split}.txt").write_text("".join(f"{i}  1\n" for i in ids))


def lists(split: str, ids: str) -> None:
    path = Path(f"data/ImageSets/Segmentation/{split}.txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{i}\n" for i in ids))


def salient() -> dict[str, Any]:
    for number in range(4):
        picture(f"data/images/{number}.jpg", number)
    coco("data/val.json", ["3.jpg"])
    return coco("data/train.json", ["0.jpg", "1.jpg", "2.jpg"])


def table() -> None:
    for number in range(4):
        picture(f"data/pictures/{number}.jpg", number)
    rows = "".join(f"{number}.jpg,{'cat' if number % 2 else 'dog'}\n" for number in range(4))
    Path("data/keywords.csv").write_text(f"image,keywords\n{rows}")


def shards() -> None:
    Path("data").mkdir()
    for name, numbers in (("cat", (0, 1)), ("dog", (2, 3))):
        with tarfile.open(f"data/{name}.tar", "w") as tar:
            for number in numbers:
                content = io.BytesIO()
                Image.fromarray(pixels(number)).save(content, "PNG")
                info = tarfile.TarInfo(f"{number}.png")
                info.size = content.tell()
                content.seek(0)
                tar.addfile(info, content)


def labels() -> None:
    """Finished labels with their pictures."""
    classes = ClassList.from_names(["cat", "dog"])
    folder = LabelFolder(Path("data"), classes)
    for number in range(4):
        picture(f"pictures/{number}.png", number)
        label_map = np.zeros((H, W), np.uint8)
        label_map[2:9, 2:9] = 1 + number % 2
        folder.write_label(str(number), label_map)
    folder.write_manifest(counts={"labelled": 4, "empty": 0})
    write_json(Path("data/settings.json"), {})
    Path("data/records.jsonl").touch()
    usual_places.record_pictures(Path("data"), [Path("pictures")])


SOUND: dict[str, Callable[[], Any]] = {
    "folders of classes": class_folders, "VOC": voc, "COCO": salient, "table": table, "shards": shards,
    "labels": labels,
}  # fmt: skip


def found(*paths: str, **settings: Any) -> dict[str, list[str]]:
    """The rules that are broken, errors and warnings, each once and sorted."""
    result = check(CheckConfig(paths=tuple(map(Path, paths or ("data",))), **settings), Events(io.StringIO()))
    assert all(one["rule"] in RULES and one["remedy"] for kind in NONE for one in result[kind])
    return {kind: sorted({one["rule"] for one in result[kind]}) for kind in NONE}


def errors(*rules: str) -> dict[str, list[str]]:
    return {"errors": sorted(rules), "warnings": []}


def warnings(*rules: str) -> dict[str, list[str]]:
    return {"errors": [], "warnings": sorted(rules)}


@pytest.mark.parametrize("kind", SOUND)
def test_a_clean_folder_gives_no_finding(kind: str) -> None:
    SOUND[kind]()
    assert found() == NONE


def copy(source: str, target: str) -> None:
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_bytes(Path(source).read_bytes())


def smaller(source: str, target: str) -> None:
    Image.open(source).resize((W // 2, H // 2)).save(target)


def with_annotations(change: Callable[[dict[str, Any]], Any]) -> Callable[[], None]:
    def spoil() -> None:
        content = salient()
        change(content)
        rewrite("data/train.json", content)

    return spoil


def spoiled(make: Callable[[], Any], *changes: Callable[[], Any]) -> Callable[[], None]:
    def spoil() -> None:
        make()
        for change in changes:
            change()

    return spoil


def empty_mask(content: dict[str, Any]) -> None:
    (content["annotations"][0]["segmentation"],) = encode_masks(np.zeros((1, H, W), np.uint8))


def many_cats() -> None:
    for number in range(30):
        picture(f"data/cat/{100 + number}.png", 100 + number)
    for number in range(3):
        picture(f"data/dog/{number}.png", number)


def class_list() -> None:
    Path("data/classes.txt").write_text("cat\ndog\nsheep\n")


def train_and_val() -> None:
    for number in range(10):
        picture(f"data/{'train' if number < 5 else 'val'}/cat/{number}.png", number)


def colours() -> None:
    for number in range(6):
        path = f"data/SegmentationClass/{number}.png"
        Image.open(path).convert("RGB").save(path)


SPOILED: dict[str, tuple[Callable[[], None], dict[str, list[str]]]] = {
    "a file that nothing reads": (
        spoiled(class_folders, lambda: Path("data/cat/film.mp4").write_bytes(b"film")),
        warnings("files-ignored"),
    ),
    "a picture without a class": (
        spoiled(class_folders, lambda: picture("data/99.png", 99)),
        warnings("pictures-unplaced"),
    ),
    "a damaged picture in a folder of a class": (
        spoiled(class_folders, lambda: Path("data/cat/1.png").write_bytes(Path("data/cat/3.png").read_bytes()[:90])),
        warnings("image-damaged"),
    ),
    "the same picture twice": (
        spoiled(class_folders, lambda: copy("data/cat/1.png", "data/cat/1-copy.png")),
        warnings("picture-duplicate"),
    ),
    "the same pixels in another format": (
        spoiled(class_folders, lambda: Image.open("data/cat/1.png").save("data/cat/1-copy.bmp")),
        warnings("picture-duplicate"),
    ),
    "a smaller copy": (
        spoiled(class_folders, lambda: smaller("data/cat/1.png", "data/cat/1-small.png")),
        warnings("picture-near-duplicate"),
    ),
    "a copy in the other split": (
        spoiled(train_and_val, lambda: copy("data/train/cat/1.png", "data/val/cat/77.png")),
        warnings("split-pictures"),
    ),
    "a smaller copy in the other split": (
        spoiled(train_and_val, lambda: smaller("data/train/cat/1.png", "data/val/cat/77.png")),
        warnings("split-pictures"),
    ),
    "a rare class": (spoiled(many_cats), warnings("class-rare")),
    "a class without a picture": (spoiled(class_folders, class_list), warnings("class-absent")),
    "a word outside the list": (
        spoiled(table, lambda: Path("data/keywords.csv").write_text("image,keywords\n0.jpg,cat\n1.jpg,catt\n")),
        errors("class-unknown"),
    ),
    "a broken line of a table": (
        spoiled(table, lambda: Path("data/keywords.csv").write_text("image,keywords\n0.jpg,cat\n,dog\n")),
        {"errors": ["keywords-file"], "warnings": ["pictures-unplaced"]},
    ),
    "a mask of another size": (
        spoiled(voc, lambda: mask("data/SegmentationClass/0.png", size=(H, W + 1))),
        errors("label-size"),
    ),
    "a mask with an unknown index": (
        spoiled(voc, lambda: mask("data/SegmentationClass/0.png", 77)),
        errors("label-value"),
    ),
    "a mask without a class": (
        spoiled(voc, lambda: mask("data/SegmentationClass/0.png", 255)),
        warnings("mask-empty"),
    ),
    "masks in VOC's colours": (spoiled(voc, colours), warnings("mask-colours")),
    "a photograph for a mask": (
        spoiled(voc, lambda: picture("data/SegmentationClass/0.png", 3)),
        errors("label-mode"),
    ),
    "a picture that a list names and that is gone": (
        spoiled(voc, lambda: Path("data/JPEGImages/0.jpg").unlink()),
        errors("image-missing"),
    ),
    "a mask that is gone": (
        spoiled(voc, lambda: Path("data/SegmentationClass/0.png").unlink()),
        errors("truth-missing"),
    ),
    "a damaged picture of a VOC list": (
        spoiled(voc, lambda: Path("data/JPEGImages/0.jpg").write_bytes(b"")),
        errors("image-damaged"),
    ),
    "an id in two splits": (spoiled(voc, lambda: lists("val", "345")), warnings("split-names")),
    "an id twice in a list": (spoiled(voc, lambda: lists("train", "01230")), errors("list-twice")),
    "a picture of a COCO file that is gone": (
        spoiled(salient, lambda: rewrite("data/train.json", coco("data/train.json", ["0.jpg", "9.jpg"]))),
        errors("coco-picture-missing"),
    ),
    "a picture listed with another size": (
        with_annotations(lambda content: content["images"][0].update(width=50)),
        errors("coco-picture-size"),
    ),
    "a mask without a pixel": (with_annotations(empty_mask), warnings("coco-mask-empty")),
    "a polygon without an area": (
        with_annotations(lambda content: content["annotations"][0].update(segmentation=[[1, 1, 5, 5, 9, 9]])),
        warnings("coco-mask-empty"),
    ),
    "an annotation of no picture": (
        with_annotations(lambda content: content["annotations"][0].update(image_id=99)),
        warnings("coco-unknown-image", "coco-no-instance"),
    ),
    "an unknown category": (
        with_annotations(lambda content: content["annotations"][0].update(category_id=9)),
        warnings("coco-category-unknown"),
    ),
    "a picture without an annotation": (
        with_annotations(lambda content: content["annotations"].pop()),
        warnings("coco-no-instance"),
    ),
    "COCO files that share a picture": (
        spoiled(salient, lambda: coco("data/val.json", ["2.jpg", "3.jpg"])),
        warnings("split-names"),
    ),
    "a tar that is cut off": (
        spoiled(shards, lambda: Path("data/cat.tar").write_bytes(Path("data/cat.tar").read_bytes()[:700])),
        errors("shard-damaged"),
    ),
    "labels without a manifest": (
        spoiled(labels, lambda: Path("data/manifest.json").unlink()),
        errors("labels-unmarked"),
    ),
    "a label of another size": (
        spoiled(labels, lambda: mask("data/labels/0.png", 8, (H, W + 1))),
        errors("label-size"),
    ),
    "labels whose picture is gone": (
        spoiled(labels, lambda: Path("pictures/3.png").unlink()),
        errors("image-missing"),
    ),
    "a label map that is gone": (spoiled(labels, lambda: Path("data/labels/3.png").unlink()), errors("label-missing")),
    "labels that never show a class": (
        spoiled(labels, *(lambda number=number: mask(f"data/labels/{number}.png", 8) for number in (1, 3))),
        warnings("class-unlabelled"),
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_folder_with_one_fault_gives_its_rule_alone(name: str) -> None:
    spoil, expected = SPOILED[name]
    spoil()
    assert found() == expected


def test_all_faults_are_listed_and_many_alike_are_counted() -> None:
    voc()
    for number in range(6):
        mask(f"data/SegmentationClass/{number}.png", 77)
    result = check(CheckConfig(paths=(Path("data"),)), Events(io.StringIO()))
    assert [one["rule"] for one in result["errors"]] == ["label-value"] * 6


def test_of_many_errors_alike_the_first_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings_module, "_MOST_ALIKE", 2)
    voc()
    for number in range(6):
        mask(f"data/SegmentationClass/{number}.png", 77)
    result = check(CheckConfig(paths=(Path("data"),)), Events(io.StringIO()))
    assert [one["count"] for one in result["errors"]] == [1, 1, 4]


def test_a_class_list_of_the_user_decides() -> None:
    class_folders()
    picture("data/zebra/50.png", 50)
    Path("own.txt").write_text("cat\ndog\nzebra\n")
    assert found(classes="own.txt")["errors"] == []
    Path("own.txt").write_text("zebra\n")
    assert found(classes="own.txt")["errors"] == ["keywords-unplaced"]


@pytest.mark.parametrize("name", ["train.json", "keywords.csv", "cat.tar"])
def test_a_file_of_a_data_set_is_checked_by_itself(name: str) -> None:
    {"train.json": salient, "keywords.csv": table, "cat.tar": shards}[name]()
    assert found(f"data/{name}")["errors"] == []


def test_a_file_without_its_pictures_is_an_error() -> None:
    coco("data/train.json", ["0.jpg"])
    assert found("data/train.json") == errors("coco-picture-missing")


def test_a_damaged_file_that_was_named_is_an_error() -> None:
    Path("broken.json").write_text('{"images": [')
    assert found("broken.json") == errors("json-damaged")


@pytest.mark.parametrize("path", ["notes.pdf", "nothing"])
def test_a_path_of_no_kind_is_refused(path: str) -> None:
    Path("notes.pdf").touch()
    Path("nothing").mkdir()
    with pytest.raises(InputError) as caught:
        found(path)
    assert caught.value.rule == "check-nothing"


def test_weights_that_are_none_are_an_error() -> None:
    Path("best.pt").write_bytes(b"no weights")
    assert found("best.pt") == errors("weights-unsafe")


def test_a_run_that_is_not_finished_is_told() -> None:
    for name, content in (("config.json", {}), ("environment.json", {}), ("status.json", {"state": "stopped"})):
        rewrite(f"runs/a/{name}", content)
    assert found("runs/a") == {"errors": ["weights-missing"], "warnings": ["run-unfinished"]}
    assert found("runs") == {"errors": ["weights-missing"], "warnings": ["run-unfinished"]}


def test_a_settings_file_is_checked_whole() -> None:
    Path("s4.toml").write_text('[train]\nstepz = 3\nimages = "gone"\n[pseudo-labl]\n')
    assert found("s4.toml") == errors("folder-missing", "setting-unknown")


def test_of_a_chain_all_inputs_are_checked_with_room_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders()
    Path("masks").mkdir()
    for number in range(24):
        Image.fromarray(np.full((H, W), 255, np.uint8)).save(f"masks/{number}.png")
    settings = '[pseudo-label]\nimages = "data"\ninstances = "masks"\nassign = "single"\n'
    Path("s4.toml").write_text(settings)
    told = check(CheckConfig(paths=(Path("s4.toml"),)), Events(io.StringIO()))
    assert (told["errors"], told["checked"][0]["kind"]) == ([], "chain")
    stage = told["checked"][0]["stages"][0]
    assert stage["disk_bytes"] > 0 and stage["free_bytes"] > 0
    Path("s4.toml").write_text(settings.replace("masks", "pictures-gone"))
    assert found("s4.toml")["errors"] == ["file-missing"]


def test_the_command_ends_with_3_where_a_stage_would_fail(capsys: pytest.CaptureFixture[str]) -> None:
    voc()
    assert main(["check", "data", "--json"]) == 0
    clean = json.loads(capsys.readouterr().out)
    assert (clean["schema"], clean["errors"], clean["warnings"]) == ("s4/check/1", [], [])
    mask("data/SegmentationClass/0.png", 77)
    assert main(["check", "data", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["error"]["rule"], told["error"]["exit_code"]) == ("inputs-faulty", 3)
    assert main(["check", "data"]) == 3
    shown = capsys.readouterr()
    assert "error: data/SegmentationClass/0.png: holds the values 77" in shown.out
    assert "1 error, 0 warnings" in shown.err


def test_warnings_alone_end_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    class_folders()
    Path("data/cat/film.mp4").touch()
    assert main(["check", "data"]) == 0
    assert "[files-ignored]" in capsys.readouterr().out


def test_data_are_checked_without_torch() -> None:
    voc()
    script = (
        "import sys; from s4cli.main import main; sys.exit(main(['check', 'data']) or 50 * ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_only_a_few_pictures_are_in_work_at_a_time() -> None:
    started: list[int] = []
    most = 0
    for done, _ in enumerate(in_threads(started.append, iter(range(500)), 3), start=1):
        most = max(most, len(started) - done)
    assert len(started) == 500
    assert most <= 4 * 3

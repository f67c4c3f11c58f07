"""`s4 predict --what`: what lies beside the result of the network, and when it is made."""

import base64
import io
import json
import pickle
import signal
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from pipelines import predict
from pipelines.config import PredictConfig
from pipelines.errors import ConfigError, InputError, Stopped
from pipelines.networks import load
from pipelines.networks.picture_results import PictureInstances
from pipelines.prediction import answers, work
from pipelines.views.picture_result import class_endings
from s4cli.main import main
from tests.pipelines.fake_networks import (
    CLASSES,
    FOLDERS,
    SIZE,
    FakeDeepLab,
    FakeS4Net,
    Killed,
    files_of,
    write_pictures,
)
from tests.pipelines.fake_networks import run as run_with_page

ALL = "overlay,masks,coco,labelme,cutout"
LEFT = np.zeros(SIZE, bool)
LEFT[:, :4] = True


@pytest.fixture
def deeplab(monkeypatch: pytest.MonkeyPatch) -> FakeDeepLab:
    fake = FakeDeepLab()
    monkeypatch.setattr(load, "load_deeplab", lambda weights, **_: fake)
    return fake


@pytest.fixture(autouse=True)
def s4net(monkeypatch: pytest.MonkeyPatch) -> FakeS4Net:
    fake = FakeS4Net()
    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: fake)
    monkeypatch.setattr(predict, "_classes", lambda weights: CLASSES)
    return fake


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_pictures(tmp_path)


def run(root: Path, **changes: Any) -> dict[str, Any]:
    return run_with_page(root, **{"report": False, **changes})


def names(folder: Path) -> list[str]:
    return sorted(files_of(folder))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_without_what_a_folder_holds_what_it_always_held(root: Path, deeplab: FakeDeepLab) -> None:
    run(root)
    assert names(root / "out") == sorted([*(f"{name}.png" for name in FOLDERS), "records.jsonl", "settings.json"])
    run(root, kind="s4net", out="found")
    assert names(root / "found") == ["instances.json", "records.jsonl", "settings.json"]
    settings = json.loads((root / "found" / "settings.json").read_text())
    assert sorted(settings["configuration"]) == ["flip", "min_score", "precision"]


def test_an_s4net_gives_a_mask_and_a_cut_out_for_each_instance(root: Path) -> None:
    run(root, kind="s4net", what=ALL, min_score=0.5)
    out = root / "out"
    # The red channels are 0, 60, 120, 180 and 240: from 0.5 on, the last two pictures have a second instance.
    ids = [f"{name}-{n}" for name in FOLDERS for n in ([1, 2] if name in ("sub/d", "e") else [1])]
    assert [name for name in names(out) if name.startswith("masks/")] == sorted(f"masks/{each}.png" for each in ids)
    assert [name for name in names(out) if name.startswith("cutouts/")] == sorted(f"cutouts/{each}.png" for each in ids)
    mask = pixels(out / "masks" / "sub" / "d-1.png")
    assert mask.dtype == np.uint8 and (mask == LEFT * 255).all()
    cut = pixels(out / "cutouts" / "sub" / "d-1.png")
    assert (cut[..., 3] == LEFT * 255).all() and (cut[LEFT][:, :3] == 180).all() and (cut[~LEFT] == 0).all()
    column = pixels(out / "masks" / "e-2.png")
    assert column[:, 5].all() and column.sum() == 255 * 6
    assert pixels(out / "overlays" / "b.jpg").shape == (*SIZE, 3)


def test_labelme_finds_the_picture_and_the_mask(root: Path) -> None:
    run(root, kind="s4net", what="labelme", min_score=0.5)
    file = root / "out" / "labelme" / "sub" / "c.json"
    content = json.loads(file.read_text())
    assert (file.parent / content["imagePath"]).resolve() == (root / "images" / "sub" / "c.png").resolve()
    assert content["imageData"] is None and (content["imageHeight"], content["imageWidth"]) == SIZE
    (shape,) = content["shapes"]
    assert (shape["label"], shape["score"], shape["points"]) == ("salient", 0.9, [[0, 0], [3, 5]])
    with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as mask:
        assert np.asarray(mask).shape == (6, 4) and np.asarray(mask).all()


def test_a_picture_that_labelme_cannot_open_lies_in_its_file(root: Path) -> None:
    with tarfile.open(root / "shard.tar", "w") as tar:
        tar.add(root / "images" / "e.png", "e.png")
    run(root, kind="s4net", images=root / "shard.tar", what="labelme")
    content = json.loads((root / "out" / "labelme" / "shard" / "e.json").read_text())
    with Image.open(io.BytesIO(base64.b64decode(content["imageData"]))) as image:
        assert image.size == SIZE[::-1] and abs(np.asarray(image).astype(int) - 240).max() <= 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pycocotools with NumPy 2
def test_a_deeplab_gives_regions_and_a_cut_out_for_each_class(
    root: Path, deeplab: FakeDeepLab, capfd: pytest.CaptureFixture[str]
) -> None:
    run(root, what=ALL)
    assert "each connected region of a class is taken for an instance" in capfd.readouterr().err
    out = root / "out"
    found = {name.split("/", 1)[1] for name in names(out) if name.startswith("cutouts/")}
    assert found == {f"{name}-{word}.png" for name in FOLDERS for word in ("cat", "dog")}
    assert (pixels(out / "cutouts" / "b-cat.png")[..., 3] == LEFT * 255).all()
    assert (pixels(out / "cutouts" / "b-dog.png")[..., 3] == ~LEFT * 255).all()
    assert not (out / "masks").exists()  # the label map is the mask
    coco = COCO(str(out / "instances.json"))
    assert [each["name"] for each in coco.loadCats(coco.getCatIds())] == ["cat", "dog"]
    assert [each["file_name"] for each in coco.dataset["images"]] == sorted(f"{name}.png" for name in FOLDERS)
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert [(each["category_id"], each["bbox"]) for each in annotations] == [(1, [0, 0, 4, 6]), (2, [4, 0, 4, 6])]
    assert all("score" not in each for each in annotations)
    shapes = json.loads((out / "labelme" / "a.json").read_text())["shapes"]
    assert [shape["label"] for shape in shapes] == ["cat", "dog"]


@pytest.mark.parametrize("kind", ["deeplab", "s4net"])
def test_what_is_asked_for_later_is_drawn_without_the_network(
    root: Path, deeplab: FakeDeepLab, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(root, out="once", kind=kind, what=ALL)
    run(root, kind=kind)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network is opened")

    monkeypatch.setattr(load, "load_deeplab", refuse)
    monkeypatch.setattr(load, "load_s4net", refuse)
    assert run(root, kind=kind, what=ALL)["written"] == 5
    assert files_of(root / "out") == files_of(root / "once")
    (root / "out" / "overlays" / "b.jpg").unlink()
    (root / "out" / "cutouts" / ("b-dog.png" if kind == "deeplab" else "b-1.png")).unlink()
    before = (root / "out" / "overlays" / "a.jpg").stat().st_mtime_ns
    run(root, kind=kind, what=ALL)
    assert files_of(root / "out") == files_of(root / "once")
    assert (root / "out" / "overlays" / "a.jpg").stat().st_mtime_ns == before


@pytest.mark.parametrize("kind", ["deeplab", "s4net"])
@pytest.mark.parametrize("dies_at", [1, 4])
def test_a_killed_run_and_shards_give_the_bytes_of_one_run(
    root: Path, deeplab: FakeDeepLab, kind: str, dies_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(root, out="whole", kind=kind, what=ALL)
    for number in (2, 1, 3):
        run(root, out="shards", kind=kind, what=ALL, shard=f"{number}/3")
    assert files_of(root / "shards") == files_of(root / "whole")
    keep, calls = predict._keep, []

    def dying(*arguments: Any) -> None:
        if len(calls) == dies_at:
            raise Killed
        calls.append(arguments)
        keep(*arguments)

    monkeypatch.setattr(predict, "_keep", dying)
    with pytest.raises(Killed):
        run(root, out="broken", kind=kind, what=ALL)
    assert not (root / "broken" / "instances.json").exists()
    monkeypatch.setattr(predict, "_keep", keep)
    run(root, out="broken", kind=kind, what=ALL)
    assert files_of(root / "broken") == files_of(root / "whole")


def test_the_coco_file_of_label_maps_keeps_up_with_pictures_that_are_added(root: Path, deeplab: FakeDeepLab) -> None:
    run(root, images=root / "images" / "sub", what="coco")
    assert len(json.loads((root / "out" / "instances.json").read_text())["images"]) == 2
    run(root, images=(root / "images" / "sub" / "c.png", root / "images" / "sub" / "d.png"), what=None)
    (root / "images" / "sub" / "f.png").write_bytes((root / "images" / "a.png").read_bytes())
    run(root, images=root / "images" / "sub")
    images = json.loads((root / "out" / "instances.json").read_text())["images"]
    assert [each["file_name"] for each in images] == ["c.png", "d.png", "f.png"]


def test_a_picture_that_is_damaged_since_fails_when_it_is_to_be_drawn(root: Path) -> None:
    run(root, kind="s4net")
    path = root / "images" / "b.png"
    path.write_bytes(path.read_bytes()[:-30] + bytes(30))  # of the same size
    assert run(root, kind="s4net", what="overlay")["failed"] == 1
    assert json.loads((root / "out" / "failures.jsonl").read_text())["image_id"] == "b"
    assert not (root / "out" / "overlays" / "b.jpg").exists() and (root / "out" / "overlays" / "a.jpg").exists()


def test_a_signal_stops_the_drawing_after_a_picture(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(root, kind="s4net")
    draw, calls = predict.DrawingWork.draw, []

    def stopping(*arguments: Any) -> None:
        calls.append(arguments)
        draw(*arguments)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(predict.DrawingWork, "draw", stopping)
    with pytest.raises(Stopped, match="after 1 of 5 drawings"):
        run(root, kind="s4net", what="overlay")
    monkeypatch.setattr(predict.DrawingWork, "draw", draw)
    run(root, kind="s4net", what="overlay")
    assert len(list((root / "out" / "overlays").rglob("*.jpg"))) == 5


def test_words_of_what_are_checked(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"--what: overlays given.*did you mean overlay\?.*\[setting-value\]"):
        PredictConfig(images=(root,), weights=root, what="masks,overlays")
    assert PredictConfig(images=(root,), weights=root, what="masks, overlay,masks").views == ("masks", "overlay")
    assert main(["predict", str(root), "--what", "", "--weights", "builtin"]) == 2
    assert "--what: nothing given" in capsys.readouterr().err


def test_batches_give_the_same_files_and_a_damaged_picture_fails_alone(root: Path, s4net: FakeS4Net) -> None:
    (root / "images" / "b.png").write_bytes(b"damaged")
    run(root, out="single", kind="s4net", what=ALL)
    result = run(root, kind="s4net", what=ALL, batch_size=3)
    assert (result["written"], result["failed"]) == (4, 1)
    assert s4net.batches == [2, 2]  # a with e, and sub/c with sub/d
    assert files_of(root / "out") == files_of(root / "single")


@pytest.mark.parametrize("batch_size", [1, 2])
def test_where_a_gpu_computes_threads_read_ahead_and_the_files_are_the_same(
    root: Path, s4net: FakeS4Net, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "images" / "b.png").write_bytes(b"damaged")
    run(root, out="single", kind="s4net", what="masks")
    monkeypatch.setattr(answers, "choose_device", lambda device: torch.device("cuda"))
    assert run(root, kind="s4net", what="masks", batch_size=batch_size)["failed"] == 1
    assert s4net.batches == ([] if batch_size == 1 else [2])  # sub/c with e; the others lost their partners
    assert files_of(root / "out") == files_of(root / "single")


def test_a_deeplab_takes_no_batches(root: Path, deeplab: FakeDeepLab) -> None:
    with pytest.raises(ConfigError, match=r"--batch-size: .*an S4Net expected.*\[predict-option\]"):
        run(root, batch_size=2)


def test_cut_outs_never_lie_on_label_maps(root: Path, deeplab: FakeDeepLab) -> None:
    (root / "images" / "sub").rename(root / "images" / "cutouts")
    with pytest.raises(InputError, match=r"cutouts/c: .*\[image-id-twice\]"):
        run(root, what="cutout")
    assert run(root, what="overlay")["written"] == 5


def test_endings_of_classes_are_words_and_differ() -> None:
    assert class_endings(["cat", "potted plant", "a-b", "a/b", "?"]) == ["cat", "potted_plant", "a_b", "a_b_", "_"]


def test_instances_in_python_are_saved_as_predict_saves_them(root: Path) -> None:
    run(root, kind="s4net", what=ALL)
    with Image.open(root / "images" / "e.png") as image:
        picture = np.asarray(image)
    raw = FakeS4Net()(picture)
    keep = [0, 2]  # the empty mask is no instance
    found = PictureInstances(raw.boxes[keep], raw.scores[keep], raw.masks[keep])
    found.save(root / "saved", ALL, picture, "e")
    out, saved = files_of(root / "out"), files_of(root / "saved")
    assert sorted(saved) == [
        "coco/e.json", "cutouts/e-1.png", "cutouts/e-2.png", "labelme/e.json", "masks/e-1.png", "masks/e-2.png",
        "overlays/e.jpg",
    ]  # fmt: skip
    for name in ("cutouts/e-1.png", "cutouts/e-2.png", "masks/e-1.png", "masks/e-2.png", "overlays/e.jpg"):
        assert saved[name] == out[name], name
    assert [each["category_id"] for each in json.loads(saved["coco/e.json"])["annotations"]] == [1, 1]
    for words, given in (("overlay", None), ("film", picture), ("cutout", picture[:3])):
        with pytest.raises(ValueError, match="expected"):
            found.save(root / "saved", words, given)
    found.save(root / "masks", "masks")
    assert len(list((root / "masks" / "masks").iterdir())) == 2


def test_a_large_picture_is_drawn_small_and_cut_out_whole(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Left:
        def __call__(self, picture: np.ndarray) -> PictureInstances:
            masks = torch.zeros(1, *picture.shape[:2], dtype=torch.bool)
            masks[0, :, : picture.shape[1] // 2] = True
            return PictureInstances(torch.zeros(1, 4), torch.tensor([0.9]), masks)

    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: Left())
    large = tmp_path / "large"
    large.mkdir()
    Image.fromarray(np.full((1500, 1600, 3), 90, np.uint8)).save(large / "a.png", compress_level=0)
    run(root, kind="s4net", images=large, what="overlay,cutout")
    assert pixels(root / "out" / "overlays" / "a.jpg").shape == (750, 800, 3)
    cut = pixels(root / "out" / "cutouts" / "a-1.png")
    assert cut.shape == (1500, 1600, 4) and (cut[:, :800] == (90, 90, 90, 255)).all() and not cut[:, 800:].any()


def test_the_work_of_a_worker_is_the_work_of_the_parent(root: Path) -> None:
    config = PredictConfig(images=(root / "images",), weights=root / "s4net.pt", out=root / "out", what="masks")
    records = predict.PredictionRecords(root / "out", False)
    views = predict.PictureViews(root / "out", config.views)
    own = work.PredictionWork(config, root / "images", records, views)
    copy = pickle.loads(pickle.dumps(own))
    record, label_map = copy.predict("a", root / "images" / "a.png")
    assert record == own.predict("a", root / "images" / "a.png")[0] and label_map is None
    assert (root / "out" / "masks" / "a-1.png").is_file()

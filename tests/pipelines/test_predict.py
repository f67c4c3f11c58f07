import io
import json
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
from pipelines.data.label_maps import read_palette_map
from pipelines.data.palette import voc_palette
from pipelines.errors import ConfigError, InputError, Stopped
from pipelines.networks import crf, load
from s4cli.main import main
from tests.pipelines.fake_networks import (
    FOLDERS,
    SIZE,
    FakeDeepLab,
    FakeS4Net,
    Killed,
    files_of,
    run,
    write_pictures,
)
from tests.pipelines.weight_files import write_weights


@pytest.fixture
def deeplab(monkeypatch: pytest.MonkeyPatch) -> FakeDeepLab:
    fake = FakeDeepLab()
    monkeypatch.setattr(load, "load_deeplab", lambda weights, **_: fake)
    return fake


@pytest.fixture(autouse=True)
def s4net(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "load_s4net", lambda weights, **_: FakeS4Net())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_pictures(tmp_path)


def failures(root: Path, out: str = "out") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / out / "failures.jsonl").read_text().splitlines()]


def test_label_maps_lie_where_the_pictures_do(root: Path, deeplab: FakeDeepLab) -> None:
    result = run(root, scales="0.5,1.0", flip=True)
    assert {key: result[key] for key in ("images", "written", "failed", "out")} == {
        "images": 5, "written": 5, "failed": 0, "out": str(root / "out"),
    }  # fmt: skip
    assert result["seconds"] > 0 and result["images_per_second"] > 0
    assert sorted(path.relative_to(root / "out").as_posix() for path in (root / "out").rglob("*.png")) == sorted(
        f"{name}.png" for name in FOLDERS
    )
    assert read_palette_map(root / "out" / "sub" / "c.png")[0].tolist() == [8] * 4 + [12] * 4
    with Image.open(root / "out" / "a.png") as image:
        assert image.mode == "P" and image.getpalette() == voc_palette()
    assert deeplab.asked == [((0.5, 1.0), True)] * 5
    assert not (root / "out" / "failures.jsonl").exists()


def test_the_crf_sees_the_probabilities_and_the_picture(
    root: Path, deeplab: FakeDeepLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap(probabilities: np.ndarray, picture: np.ndarray, preset: str, device: torch.device) -> np.ndarray:
        assert picture.shape == (*SIZE, 3) and preset == "psa"
        return probabilities[[0, 2, 1]].argmax(axis=0).astype(np.uint8)

    monkeypatch.setattr(crf, "refined_map", swap)
    run(root, crf=True, crf_preset="psa")
    assert read_palette_map(root / "out" / "a.png")[0].tolist() == [12] * 4 + [8] * 4


def test_pictures_of_a_voc_list_are_predicted(root: Path, deeplab: FakeDeepLab) -> None:
    voc = root / "voc"
    (voc / "ImageSets" / "Segmentation").mkdir(parents=True)
    (voc / "ImageSets" / "Segmentation" / "test.txt").write_text("b\na\n")
    (root / "images").rename(voc / "JPEGImages")
    assert run(root, images=None, voc=voc)["images"] == 2
    assert sorted(path.name for path in (root / "out").glob("*.png")) == ["a.png", "b.png"]
    (voc / "JPEGImages" / "b.png").unlink()
    with pytest.raises(InputError, match=r"1 of 2 pictures of the list are missing \(b\.jpg\).*\[image-missing\]"):
        run(root, out="other", images=None, voc=voc)
    assert not (root / "other").exists()


def test_pictures_in_shards_are_predicted_and_named(root: Path, deeplab: FakeDeepLab) -> None:
    with tarfile.open(root / "images" / "shard-0.tar", "w") as archive:
        for name, content in (("x.png", (root / "images" / "a.png").read_bytes()), ("y.png", b"torn")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert run(root)["failed"] == 1
    assert (root / "out" / "shard-0" / "x.png").is_file()
    assert "shard-0.tar:y.png" in failures(root)[0]["message"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pycocotools with NumPy 2
def test_an_s4net_gives_coco_instances_of_one_category(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = run(root, kind="s4net")
    assert result["written"] == 5
    coco = COCO(str(root / "out" / "instances.json"))  # an independent reader of the form
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["salient"]
    names = {image["file_name"]: image for image in coco.loadImgs(coco.getImgIds())}
    assert sorted(names) == sorted(f"{name}.png" for name in FOLDERS)
    assert (names["sub/c.png"]["height"], names["sub/c.png"]["width"]) == SIZE
    found = coco.loadAnns(coco.getAnnIds(imgIds=[names["sub/c.png"]["id"]]))
    assert [item["bbox"] for item in found] == [[0, 0, 4, 6], [5, 0, 1, 6]]  # the empty mask is none
    assert [item["score"] for item in found] == pytest.approx([0.9, 120 / 255], abs=1e-6)
    assert coco.annToMask(found[0]).sum() == found[0]["area"] == 24
    # scores of the second instance are 0, 60/255 = 0.24, 0.47, 0.71 and 0.94
    assert len(coco.getAnnIds()) == 9
    run(root, out="few", kind="s4net", min_score=0.5)
    assert len(json.loads((root / "few" / "instances.json").read_text())["annotations"]) == 7
    assert not list((root / "out").rglob("*.png"))


@pytest.mark.parametrize("kind", ["deeplab", "s4net"])
@pytest.mark.parametrize("dies_at", [0, 2, 4])
def test_a_killed_run_started_again_gives_the_bytes_of_an_unbroken_one(
    root: Path, deeplab: FakeDeepLab, kind: str, dies_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(root, out="unbroken", kind=kind)
    calls = 0
    keep = predict._keep

    def dying(*arguments: Any) -> None:
        nonlocal calls
        if calls == dies_at:
            raise Killed
        calls += 1
        keep(*arguments)

    monkeypatch.setattr(predict, "_keep", dying)
    with pytest.raises(Killed):
        run(root, out="broken", kind=kind)
    monkeypatch.setattr(predict, "_keep", keep)
    deeplab.asked.clear()
    assert run(root, out="broken", kind=kind)["written"] == 5
    if kind == "deeplab":
        assert len(deeplab.asked) == 5 - dies_at
    assert files_of(root / "broken") == files_of(root / "unbroken")


def test_a_lost_label_map_is_made_again_and_new_pictures_are_added(root: Path, deeplab: FakeDeepLab) -> None:
    run(root)
    (root / "out" / "b.png").unlink()
    (root / "images" / "a.png").rename(root / "images" / "new.png")
    deeplab.asked.clear()
    assert run(root)["images"] == 5
    assert len(deeplab.asked) == 2
    assert (root / "out" / "b.png").is_file() and (root / "out" / "new.png").is_file()


def test_another_picture_of_the_same_name_is_refused(root: Path, deeplab: FakeDeepLab) -> None:
    run(root)
    before = files_of(root / "out")
    other = root / "others" / "b.png"
    other.parent.mkdir()
    Image.fromarray(np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)).save(other)
    with pytest.raises(ConfigError, match=r"another b, of \d+ bytes, .*others/b.png.*\[predictions-differ\]"):
        run(root, images=root / "others")
    assert files_of(root / "out") == before


def test_a_signal_stops_after_the_picture_and_the_same_command_goes_on(
    root: Path, deeplab: FakeDeepLab, capsys: pytest.CaptureFixture[str]
) -> None:
    run(root, out="unbroken")
    deeplab.asked.clear()
    deeplab.before = lambda call: signal.raise_signal(signal.SIGTERM) if call == 2 else None
    with pytest.raises(Stopped, match="after 3 of 5"):
        run(root)
    deeplab.asked.clear()
    deeplab.before = lambda call: signal.raise_signal(signal.SIGTERM) if call == 0 else None
    arguments = ["predict", "--images", root / "images", "--weights", root / "deeplab.pt", "--out", root / "out"]
    assert main([*map(str, arguments), "--json"]) == 75
    assert json.loads(capsys.readouterr().out)["error"]["rule"] == "stopped"
    deeplab.before = lambda call: None
    assert main([*map(str, arguments), "--json"]) == 0
    assert len(deeplab.asked) == 2
    assert json.loads(capsys.readouterr().out)["written"] == 5
    assert files_of(root / "out") == files_of(root / "unbroken")


@pytest.mark.parametrize("kind", ["deeplab", "s4net"])
def test_a_damaged_picture_fails_alone_and_can_be_retried(root: Path, deeplab: FakeDeepLab, kind: str) -> None:
    run(root, out="whole", kind=kind)
    path = root / "images" / "sub" / "c.png"
    content = path.read_bytes()
    path.write_bytes(content[:48])
    arguments = ["predict", "--images", root / "images", "--weights", root / f"{kind}.pt", "--out", root / "out"]
    assert main(list(map(str, arguments))) == 4
    (failure,) = failures(root)
    assert (failure["image_id"], failure["rule"]) == ("sub/c", "image-damaged")
    assert str(path) in failure["message"]
    path.write_bytes(content)
    result = run(root, kind=kind)
    assert (result["written"], result["failed"]) == (4, 1)  # not without being asked
    assert run(root, kind=kind, retry_failed=True)["failed"] == 0
    assert files_of(root / "out") == files_of(root / "whole")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"scales": "0.5"}, "scales"),
        ({"flip": True}, "flip"),
        ({"crf": True}, "crf"),
        ({"precision": "fp32"}, "precision"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused_by_name(
    root: Path, deeplab: FakeDeepLab, change: dict[str, Any], named: str
) -> None:
    run(root)
    before = files_of(root / "out")
    with pytest.raises(ConfigError, match=rf"predictions made otherwise.*{named}.*\[predictions-differ\]"):
        run(root, **change)
    assert files_of(root / "out") == before
    run(root, workers=0)  # alters nothing


def test_other_weights_in_the_same_folder_are_refused(root: Path, deeplab: FakeDeepLab) -> None:
    run(root)
    write_weights(root / "deeplab.pt", "others", kind="deeplab")
    with pytest.raises(ConfigError, match="weights_sha256"):
        run(root)
    with pytest.raises(ConfigError, match=r"network.*predictions-differ"):
        run(root, kind="s4net")


def test_folders_that_hold_something_else_are_not_written_to(root: Path, deeplab: FakeDeepLab) -> None:
    before = files_of(root / "images")
    for out in ("images", "images/predictions"):
        with pytest.raises(ConfigError, match=r"--out .*\[out-inside\]"):
            run(root, out=out)
    (root / "truth").mkdir()
    (root / "truth" / "a.png").write_bytes(b"precious")
    with pytest.raises(ConfigError, match=r"--out .*truth: holds files.*\[out-foreign\]"):
        run(root, out="truth")
    assert (root / "truth" / "a.png").read_bytes() == b"precious"
    assert files_of(root / "images") == before


def test_options_of_the_other_network_are_refused(root: Path, deeplab: FakeDeepLab) -> None:
    for changes in ({"scales": "0.5"}, {"crf": True}, {"crf_preset": "psa"}):
        with pytest.raises(
            ConfigError, match=rf"--{next(iter(changes)).replace('_', '-')}: .* a DeepLab expected.*\[predict-option\]"
        ):
            run(root, kind="s4net", **changes)
    with pytest.raises(ConfigError, match=r"--min-score: .* an S4Net expected"):
        run(root, min_score=0.5)
    assert not (root / "out").exists()


def test_an_s4net_reads_mirrored_pictures_if_asked_to(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bool] = []
    monkeypatch.setattr(load, "load_s4net", lambda weights, flip, **_: given.append(flip) or FakeS4Net())
    run(root, kind="s4net", flip=True)
    run(root, out="plain", kind="s4net")
    assert given == [True, False]


def test_a_network_that_cannot_be_loaded_leaves_no_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConfigError("--flip: impossible, none expected; leave it out", "flip-unusable")

    monkeypatch.setattr(load, "load_s4net", refuse)
    with pytest.raises(ConfigError, match="flip-unusable"):
        run(root, kind="s4net", flip=True)
    assert not (root / "out").exists()


def test_weights_of_neither_network_and_missing_ones_are_refused(root: Path) -> None:
    with pytest.raises(InputError, match=r"holds other.*\[weights-kind\]"):
        run(root, kind="other")
    with pytest.raises(InputError, match=r"\[weights-missing\]"):
        run(root, kind="none")


@pytest.mark.parametrize("given", [[], ["--images", "i", "--voc", "v"]])
def test_the_pictures_come_from_one_place(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", *given, "--weights", "w", "--out", "o"]) == 2
    assert "--images and --voc" in capsys.readouterr().err


def test_single_pictures_and_patterns_are_predicted(root: Path, deeplab: FakeDeepLab) -> None:
    assert run(root, images=root / "images" / "a.png")["written"] == 1
    assert [path.name for path in (root / "out").glob("*.png")] == ["a.png"]
    records = [json.loads(line) for line in (root / "out" / "records.jsonl").read_text().splitlines()]
    assert [(record["image_id"], record["file_name"]) for record in records] == [("a", "a.png")]
    several = (root / "images" / "sub" / "c.png", root / "images" / "[ab].png")
    assert run(root, out="several", images=several)["written"] == 3
    assert (root / "several" / "sub" / "c.png").is_file() and (root / "several" / "b.png").is_file()


def test_results_may_lie_beside_single_pictures_but_not_in_a_folder_that_is_searched(
    root: Path, deeplab: FakeDeepLab
) -> None:
    assert run(root, out="images/predictions", images=root / "images" / "a.png")["written"] == 1
    with pytest.raises(ConfigError, match=r"\[out-inside\]"):
        run(root, out="images/sub/predictions", images=(root / "images" / "a.png", root / "images" / "sub"))


def test_what_was_done_before_is_said(root: Path, deeplab: FakeDeepLab, capsys: pytest.CaptureFixture[str]) -> None:
    run(root, report=False)  # its warning about the stand-in for a network would name this test
    assert "before" not in capsys.readouterr().err
    run(root)
    assert f"{root / 'out'}: all 5 pictures were predicted before\n" in capsys.readouterr().err
    run(root, images=root / "images" / "a.png")
    told = capsys.readouterr().err
    assert f"{root / 'out'}: the picture was predicted before\n" in told
    assert f"{root / 'out'}: holds 4 predictions of other pictures too; they stay\n" in told
    (root / "images" / "f.png").write_bytes(b"no picture")
    for _ in range(2):
        run(root)
    assert "all 6 pictures were predicted before, 1 of them failed (--retry-failed" in capsys.readouterr().err

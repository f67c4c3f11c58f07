"""Videos: frames are predicted like pictures, and a film is made of them."""

import importlib.util
import json
import signal
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines import predict
from pipelines.config import PredictConfig
from pipelines.data.given_pictures import given_pictures
from pipelines.data.video import Film, open_video
from pipelines.errors import ConfigError, InputError, Stopped
from pipelines.networks import load
from pipelines.prediction import films
from pipelines.prediction.answers import batches
from s4cli.main import main
from tests.pipelines.fake_networks import CLASSES, FakeDeepLab, FakeS4Net, Killed, files_of, write_pictures
from tests.pipelines.fake_networks import run as run_with_page

has_av = importlib.util.find_spec("av") is not None
needs_av = pytest.mark.skipif(not has_av, reason="PyAV (extra `video`) reads and writes videos")
FRAMES = [f"clip_{number:06d}" for number in (0, 3, 6, 9)]


def run(root: Path, **changes: Any) -> dict[str, Any]:
    return run_with_page(root, **{"kind": "s4net", "report": False, "every": 3, "images": root / "clip.mp4", **changes})


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
    """Ten frames of 47 x 64, ten a second; frame n is grey of brightness 20 n."""
    write_pictures(tmp_path)
    if has_av:
        write_video(tmp_path / "clip.mp4")
    return tmp_path


def write_video(path: Path, frames: int = 10) -> None:
    with path.open("wb") as file, Film(file, Fraction(10)) as film:
        for number in range(frames):
            film.add(np.full((47, 64, 3), 20 * number, np.uint8))


def frames_of(path: Path) -> tuple[Fraction, list[np.ndarray]]:
    with open_video(path) as video:
        return video.rate, [frame.pixels for frame in video.frames()]


@needs_av
def test_each_third_frame_is_predicted_and_shown_in_the_film(root: Path) -> None:
    result = run(root, what="overlay,masks,labelme")
    assert (result["images"], result["written"], result["failed"]) == (4, 4, 0)
    records = [json.loads(line) for line in (root / "out" / "records.jsonl").read_text().splitlines()]
    assert [(r["image_id"], r["frame"], r["video"]) for r in records] == [
        (name, number, "clip.mp4") for name, number in zip(FRAMES, (0, 3, 6, 9), strict=True)
    ]
    assert (records[0]["height"], records[0]["width"]) == (48, 64)  # a film has even sides
    # The second instance has the brightness of the frame as score: 0, 60, 120 and 180 of 255.
    assert [r["instances"][-1]["score"] for r in records[1:]] == pytest.approx(
        [60 / 255, 120 / 255, 180 / 255], abs=0.02
    )
    rate, shown = frames_of(root / "out" / "videos" / "clip.mp4")
    assert rate == Fraction(10, 3) and len(shown) == 4 and shown[0].shape == (48, 64, 3)
    # The corner belongs to no instance.
    assert [frame[40:, 40:].mean() for frame in shown] == pytest.approx([0, 60, 120, 180], abs=6)
    coco = json.loads((root / "out" / "instances.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == [f"{name}.png" for name in FRAMES]
    for folder, suffix in (("overlays", ".jpg"), ("masks", "-1.png"), ("labelme", ".json")):
        assert all((root / "out" / folder / f"{name}{suffix}").is_file() for name in FRAMES)
    assert json.loads((root / "out" / "labelme" / "clip_000003.json").read_text())["imageData"]
    assert run(root, what="overlay,masks,labelme")["images"] == 4


@needs_av
def test_a_deeplab_writes_a_label_map_for_each_frame(root: Path, deeplab: FakeDeepLab) -> None:
    assert run(root, kind="deeplab", what="coco")["written"] == 4
    assert all((root / "out" / f"{name}.png").is_file() for name in FRAMES)
    assert len(json.loads((root / "out" / "instances.json").read_text())["annotations"]) == 8
    assert len(frames_of(root / "out" / "videos" / "clip.mp4")[1]) == 4


@needs_av
@pytest.mark.parametrize("kind", ["deeplab", "s4net"])
def test_a_killed_run_predicts_only_the_frames_that_are_left(
    root: Path, deeplab: FakeDeepLab, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(root, out="whole", kind=kind, what="cutout")
    keep, calls = films.Films._keep, []

    def dying(*arguments: Any) -> None:
        if len(calls) == 2:
            raise Killed
        calls.append(arguments)
        keep(*arguments)

    monkeypatch.setattr(films.Films, "_keep", dying)
    with pytest.raises(Killed):
        run(root, kind=kind, what="cutout")
    assert not list((root / "out").rglob("*.mp4*"))
    monkeypatch.setattr(films.Films, "_keep", keep)
    deeplab.asked.clear()
    run(root, kind=kind, what="cutout")
    if kind == "deeplab":
        assert len(deeplab.asked) == 2
    assert files_of(root / "out") == files_of(root / "whole")
    (root / "out" / "cutouts" / ("clip_000006-dog.png" if kind == "deeplab" else "clip_000006-1.png")).unlink()
    deeplab.asked.clear()
    run(root, kind=kind, what="cutout")
    assert not deeplab.asked and files_of(root / "out") == files_of(root / "whole")


@needs_av
def test_a_signal_stops_a_video_and_the_same_command_goes_on(root: Path, deeplab: FakeDeepLab) -> None:
    run(root, out="whole", kind="deeplab")
    deeplab.asked.clear()
    deeplab.before = lambda call: signal.raise_signal(signal.SIGTERM) if call == 1 else None
    with pytest.raises(Stopped, match=r"in clip.mp4, all frames so far are kept"):
        run(root, kind="deeplab")
    assert len(deeplab.asked) == 2 and not (root / "out" / "videos" / "clip.mp4").exists()
    deeplab.before = lambda call: None
    run(root, kind="deeplab")
    assert len(deeplab.asked) == 4 and files_of(root / "out") == files_of(root / "whole")


@needs_av
def test_a_damaged_video_fails_alone_and_can_be_retried(root: Path) -> None:
    content = (root / "clip.mp4").read_bytes()
    other = root / "torn.mp4"
    both = (root / "clip.mp4", other)
    for damaged in (b"", b"no video at all", content[:-40], content[: len(content) // 2]):
        other.write_bytes(damaged)
        out = root / f"out{len(damaged)}"
        assert main(["predict", *map(str, both), "--weights", str(root / "s4net.pt"), "--out", str(out)]) == 4
        (failure,) = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
        assert (failure["image_id"], failure["rule"]) == ("torn.mp4", "video-damaged")
        assert [path.name for path in out.rglob("*.mp4")] == ["clip.mp4"]
    other.write_bytes(content)
    assert run(root, out=out.name, images=both, every=1)["failed"] == 1  # not without being asked
    assert run(root, out=out.name, images=both, every=1, retry_failed=True)["failed"] == 0
    assert not (out / "failures.jsonl").exists() and (out / "videos" / "torn.mp4").is_file()


@needs_av
def test_a_video_that_ends_early_without_a_fault_is_damaged(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_video(root / "clip.mp4") as video:
        monkeypatch.setattr(type(video), "_seconds", 2.5)
        with pytest.raises(InputError, match=r"it ends after 1\.0 of 2\.5 seconds.*\[video-damaged\]"):
            list(video.frames())
    with open_video(root / "clip.mp4") as video:
        monkeypatch.setattr(type(video), "_seconds", 1.9)  # sound may be a little longer
        assert [frame.number for frame in video.frames(4)] == [0, 4, 8]


@needs_av
def test_frames_of_another_video_or_another_step_are_refused(root: Path) -> None:
    run(root)
    before = files_of(root / "out")
    with pytest.raises(ConfigError, match=r"clip.mp4 with every 3, 2 expected.*\[predictions-differ\]"):
        run(root, every=2)
    write_video(root / "clip.mp4", 12)
    with pytest.raises(ConfigError, match=r"with bytes .*\[predictions-differ\]"):
        run(root)
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(root / "clip_000003.png")
    with pytest.raises(InputError, match=r"clip_000003: .*\[image-id-twice\]"):
        run(root, out="other", images=(root / "clip.mp4", root / "clip_000003.png"))
    assert files_of(root / "out") == before


@needs_av
def test_a_video_is_turned_as_a_player_shows_it(root: Path) -> None:
    path = root / "phone.mp4"
    with path.open("wb") as file, Film(file, Fraction(10)) as film:
        film.add(np.repeat(np.array([220] * 24 + [20] * 40, np.uint8), 48 * 3).reshape(64, 48, 3).swapaxes(0, 1).copy())
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44  # of the matrix in the header of the track, 16.16 fixed point
    assert struct.unpack(">9i", content[place : place + 36])[:5] == (1 << 16, 0, 0, 0, 1 << 16)
    # x' = -y and y' = x: what was on the left is at the top.
    content[place : place + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    _, (frame,) = frames_of(path)
    assert frame.shape == (64, 48, 3)
    assert frame[:20].mean() == pytest.approx(220, abs=6) and frame[30:].mean() == pytest.approx(20, abs=6)


@needs_av
def test_shards_take_whole_videos(root: Path) -> None:
    write_video(root / "other.mp4", 4)
    both = (root / "*.mp4", root / "images" / "a.png")
    run(root, out="whole", images=both, what="masks")
    counts = [run(root, images=both, what="masks", shard=f"{number}/2")["images"] for number in (1, 2)]
    assert counts == [5, 2]  # the picture and four frames of one video, two frames of the other
    assert files_of(root / "out") == files_of(root / "whole")


@needs_av
def test_videos_of_a_folder_are_taken_if_it_holds_no_picture(root: Path) -> None:
    folder = root / "films" / "day"
    folder.mkdir(parents=True)
    (root / "clip.mp4").rename(folder / "clip.MP4")
    assert given_pictures([root / "films"], videos=True).videos == {"day/clip": folder / "clip.MP4"}
    assert run(root, images=root / "films")["written"] == 4
    assert (root / "out" / "videos" / "day" / "clip.mp4").is_file()
    with pytest.raises(InputError, match="folder-empty"):
        given_pictures([root / "films"])
    (root / "images" / "a.png").rename(folder / "a.png")
    given = given_pictures([root / "films"], videos=True)
    assert list(given.pictures) == ["day/a"] and not given.videos


@needs_av
def test_pictures_of_a_camera_become_a_film_in_the_order_of_their_numbers(root: Path) -> None:
    folder = root / "camera" / "left"
    folder.mkdir(parents=True)
    for number in (2, 10, 1):
        shade = np.full((48, 64, 3), 20 * number, np.uint8)
        Image.fromarray(shade if number != 10 else shade[:24, :32]).save(folder / f"frame_{number}.png")
    run(root, images=root / "camera", what="video", fps=4.0)
    rate, shown = frames_of(root / "out" / "videos" / "left.mp4")
    assert rate == 4 and [frame.shape for frame in shown] == [(48, 64, 3)] * 3
    assert [frame[40:, 40:].mean() for frame in shown] == pytest.approx([20, 40, 200], abs=6)


def test_names_are_ordered_by_their_numbers() -> None:
    names = ["b/frame_1", "a/frame_10", "a/frame_2", "a/frame_002b", "a/2"]
    assert sorted(names, key=films.natural) == ["a/2", "a/frame_2", "a/frame_002b", "a/frame_10", "b/frame_1"]
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_without_the_extra_the_line_of_pip_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "av" else found(name, *more))
    for changes in ({"images": (root / "a.mp4",)}, {"images": (root / "*.MOV",)}, {"what": "video"}):
        with pytest.raises(ConfigError, match=r"pip install 's4-segmentation\[video\]' \[extra-missing\]"):
            PredictConfig(weights=root, **{"images": (root,), **changes})
    (root / "films").mkdir()
    (root / "films" / "a.mkv").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"a\.mkv: PyAV not installed.*\[extra-missing\]"):
        run(root, images=root / "films")
    assert run(root, images=root / "images")["written"] == 5

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pipelines import bench as stage
from pipelines.bench import bench
from pipelines.config import BenchConfig
from pipelines.errors import ConfigError
from pipelines.events import Events
from pipelines.studies.bench_rows.comparison import Comparison, Row
from pipelines.studies.bench_rows.inference import LIMIT


def fixed(seconds: float) -> Callable[[], float]:
    return lambda: seconds


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a comparison in the place of the mask branch's."""

    def put(rows: list[Row], **values: Any) -> None:
        monkeypatch.setattr(stage, "compare_branch", lambda setup: Comparison(rows=rows, **{"peer": "peer", **values}))

    return put


def run(**values: Any) -> dict[str, Any]:
    return bench(
        BenchConfig(**{"what": "branch", "repeats": 1, "device": "cpu", "precision": "fp32", **values}), Events()
    )


def test_a_ratio_is_the_time_of_the_peer_over_that_of_the_row_for_a_picture(compared: Callable[..., None]) -> None:
    peer, own = Row(name="peer", run=fixed(0.5), images=1), Row(name="own", run=fixed(1.0), images=8)
    compared([peer, own, Row(name="quick", run=fixed(0.25), images=8, against="own")])
    result = run()
    # 0.5 s a picture; 8 pictures in 1 s are 0.125 s each: 4 times as fast. A quarter of it: 4 times as fast again.
    assert [(row["name"], row["ms"], row["images_per_second"], row["ratio"]) for row in result["rows"]] == [
        ("peer", 500, 2, 1),
        ("own", 1000, 8, 4),
        ("quick", 250, 32, 4),
    ]
    assert [row.get("against") for row in result["rows"]] == [None, None, "own"]


def test_the_result_says_where_and_with_what_it_was_measured(compared: Callable[..., None]) -> None:
    compared([Row(name="peer", run=fixed(0.3), images=1)], missing={"gone": "not here"})
    result = run(threads=1)
    assert {"rows", "peer", "threads", "precision", "device", "busy", "versions", "cpu"} <= set(result)
    assert (result["peer"], result["threads"], result["precision"], result["device"]) == ("peer", 1, "fp32", "cpu")
    assert result["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert result["rows"][1] == {
        "name": "gone", "ms": None, "images_per_second": None, "ratio": None, "note": "not here"
    }  # fmt: skip


def test_the_share_of_the_arithmetic_limit_is_a_ratio_of_rates(compared: Callable[..., None]) -> None:
    limit = Row(name=f"{LIMIT} fp32", run=fixed(0.5), images=0, facts={"gflop": 100.0})  # 200 GFLOP/s
    compared([Row(name="peer", run=fixed(0.5), images=1, facts={"gflop": 25.0}), limit])  # 50 GFLOP/s
    rows = {row["name"]: row for row in run()["rows"]}
    assert rows["peer"]["limit_share"] == pytest.approx(0.25)
    assert (rows[limit.name]["ratio"], rows[limit.name]["images_per_second"]) == (None, None)


def test_out_receives_the_result_and_a_plot(tmp_path: Path, compared: Callable[..., None]) -> None:
    compared([Row(name="peer", run=fixed(0.3), images=1)])
    result = run(out=tmp_path / "new")
    assert json.loads((tmp_path / "new" / "branch.json").read_text()) == result
    with Image.open(tmp_path / "new" / "branch.png") as image:
        assert image.format == "PNG"


def test_threads_are_as_before_afterwards(compared: Callable[..., None]) -> None:
    before, inside = torch.get_num_threads(), []
    compared([Row(name="peer", run=lambda: inside.append(torch.get_num_threads()) or 0.3, images=1)])
    run(threads=before + 1)
    assert set(inside) == {before + 1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"weights": "run"}, "--weights"),
        ({"images": "pictures"}, "--images"),
        ({"compile": True}, "--compile"),
        ({"what": "inference", "images": "pictures"}, "--images"),
    ],
)
def test_options_without_effect_are_refused(values: dict[str, Any], flag: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{flag}: .*\[bench-option\]"):
        run(**values)


def test_sizes_that_some_network_cannot_take_are_refused() -> None:
    with pytest.raises(ConfigError, match="--image-size: 100 given, a multiple of 32"):
        BenchConfig(image_size=100)

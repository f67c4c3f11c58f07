"""What `s4 pseudo-label` decides before it starts."""

from pathlib import Path

import pytest
from PIL import Image

from pipelines.config import PseudoLabelConfig
from pipelines.events import Events
from pipelines.labels.plan import label_settings, make_plan
from tests.pipelines.weight_files import write_weights


@pytest.mark.parametrize(
    ("classes", "given", "expected", "told"),
    [
        (["cat", "dog"], {}, True, ""),
        (["cat", "dog"], {"recognise": "off"}, False, ""),
        (["cat", "dog"], {"trunk_weights": "none"}, False, "--recognise: off, because --trunk-weights none may lack"),
        (["cat", "pear"], {}, False, "--recognise: off, because ImageNet's classifier does not know pear\n"),
        (
            ["cat", "pear"],
            {"recognise": "imagenet"},
            True,
            "warning: --recognise imagenet: ImageNet's classifier does not know pear; their",
        ),
        (["cat", "pear", "dog"], {"keywords": "others"}, True, ""),  # pear is no keyword of any picture
    ],
)
def test_instances_are_recognised_by_default_where_every_keyword_can_be(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    classes: list[str],
    given: dict[str, str],
    expected: bool,
    told: str,
):
    (tmp_path / "images").mkdir()
    for name in ("p0", "p1"):
        Image.new("RGB", (4, 3)).save(tmp_path / "images" / f"{name}.png")
    write_weights(tmp_path / "weights.pt")
    (tmp_path / "keywords.csv").write_text(f"image,keywords\np0,{classes[0]}\np1,{classes[1]}\n")
    (tmp_path / "classes.txt").write_text("\n".join(classes))
    if given.get("keywords"):
        (tmp_path / "keywords.csv").write_text("image,keywords\np0,cat\np1,dog\n")
    settings = {
        "images": tmp_path / "images",
        "weights": tmp_path / "weights.pt",
        "keywords": str(tmp_path / "keywords.csv"),
        "classes": str(tmp_path / "classes.txt"),
        "out": tmp_path / "labels",
    }
    config = PseudoLabelConfig(**settings | {name: value for name, value in given.items() if name != "keywords"})  # type: ignore[arg-type]
    plan = make_plan(config, Events())
    assert plan.recognise is expected
    assert ("recognise" in label_settings(config, plan)["configuration"]) is expected
    err = capsys.readouterr().err
    assert err.startswith(told) if told else err == ""


@pytest.mark.parametrize(
    ("given", "strategy", "named"),
    [
        ({}, "single", False),  # nothing is drawn
        ({"fill": True, "trunk_weights": "imagenet"}, "single", False),
        ({"fill": True}, "single", True),
        ({"cells": "on"}, "single", True),
        ({"assign": "random"}, "random", True),
        ({"fill": True, "seed": 0}, "single", False),  # the usual seed, which no folder of this strategy has named
    ],
)
def test_the_seed_is_a_setting_of_the_labels_where_they_depend_on_it(
    tmp_path: Path, given: dict[str, object], strategy: str, named: bool
) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 3)).save(tmp_path / "images" / "p0.png")
    write_weights(tmp_path / "weights.pt")
    (tmp_path / "keywords.csv").write_text("image,keywords\np0,cat\n")
    settings: dict[str, object] = {
        "images": tmp_path / "images", "weights": tmp_path / "weights.pt", "keywords": str(tmp_path / "keywords.csv"),
        "out": tmp_path / "labels", "trunk_weights": "none", "seed": 5,
    }  # fmt: skip
    config = PseudoLabelConfig(**settings | given)  # type: ignore[arg-type]
    plan = make_plan(config, Events())
    assert plan.strategy == strategy
    assert ("seed" in label_settings(config, plan)["configuration"]) is named

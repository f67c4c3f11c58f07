"""`s4 init` where a folder holds several sets of pictures with keywords."""

import tomllib
from pathlib import Path

from pipelines.config import InitConfig, RunConfig, resolve
from pipelines.events import Events
from pipelines.init import init
from pipelines.run import run
from tests.pipelines.test_init import coco, pictures
from tests.pipelines.test_init import here as here


def voc_with_lists(folder: str, split: str, shown: dict[str, str]) -> None:
    """A VOC folder whose lists in `Main` say what each picture shows."""
    pictures(*(f"{folder}/JPEGImages/{name}.jpg" for name in shown))
    for kind in ("Main", "Segmentation"):
        Path(folder, "ImageSets", kind).mkdir(parents=True)
    Path(folder, "ImageSets/Segmentation", f"{split}.txt").write_text("\n".join(shown))
    for word in set(shown.values()):
        lines = "".join(f"{name} {1 if own == word else -1}\n" for name, own in shown.items())
        Path(folder, "ImageSets/Main", f"{word}_{split}.txt").write_text(lines)


def test_several_sets_of_the_same_kind_of_classes_are_labelled_together() -> None:
    voc_with_lists("VOC", "train", {"a": "cat", "b": "dog", "c": "dog"})
    pictures("imagenet/n02084071/d.jpg", "imagenet/n02924116/e.jpg")
    result = init(InitConfig(), Events())
    file = tomllib.loads(Path("s4.toml").read_text())["pseudo-label"]
    assert (file["images"], file["keywords"], file["split"]) == (["VOC/JPEGImages", "imagenet"], "auto", "train")
    assert result["classes"] == ["bus", "cat", "dog"]
    assert [line["for"] for line in result["found"] if "pictures" in line][:2] == ["pseudo-label"] * 2
    assert "5 pictures with keywords: bus 1, cat 1, dog 3" in Path("s4.toml").read_text()
    config = resolve(RunConfig, Path("s4.toml"), {"file": Path("s4.toml"), "dry_run": True})
    plan = run(config, Events(), paces={})
    assert [stage["pictures"] for stage in plan["stages"]] == [5, 5]


def test_sets_with_a_table_each_name_it() -> None:
    pictures("a/images/1.jpg", "a/images/2.jpg", "b/images/3.jpg")
    Path("a/a.csv").write_text("image,keywords\n1,kiwi\n2,fig\n")
    Path("b/b.csv").write_text("image,keywords\n3,fig\n")
    init(InitConfig(), Events())
    file = tomllib.loads(Path("s4.toml").read_text())["pseudo-label"]
    assert (file["images"], file["keywords"]) == (["a/images", "b/images"], ["a/a.csv", "b/b.csv"])


def test_a_set_of_other_classes_stays_a_remark() -> None:
    voc_with_lists("VOC", "train", {"a": "cat", "b": "dog", "c": "dog"})
    pictures("more/kiwi/d.jpg", "more/fig/e.jpg")  # with them, the classes would no longer be VOC's
    init(InitConfig(), Events())
    assert tomllib.loads(Path("s4.toml").read_text())["pseudo-label"]["images"] == "VOC/JPEGImages"
    assert '2 pictures: images = "more", keywords = "auto"' in Path("s4.toml").read_text()


def test_sets_that_hold_the_same_path_are_not_joined() -> None:
    pictures("one/cat/1.jpg", "one/dog/2.jpg", "one/dog/3.jpg")
    coco("boxes/b.json", ["cat/1.jpg"], "cat", segmentation=[])
    pictures("boxes/cat/1.jpg")
    init(InitConfig(), Events())
    assert isinstance(tomllib.loads(Path("s4.toml").read_text())["pseudo-label"]["images"], str)


def test_splits_with_an_underscore_are_no_part_of_a_class() -> None:
    voc_with_lists("VOC", "train", {"a": "person", "b": "sea_lion"})
    main = Path("VOC/ImageSets/Main")
    for word in ("person", "sea_lion"):
        (main / f"{word}_train_aug.txt").write_text((main / f"{word}_train.txt").read_text())
    (main / "train_aug.txt").write_text("a\nb\n")  # a list of pictures, and not of trains
    assert init(InitConfig(), Events())["classes"] == ["person", "sea_lion"]

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.config import PseudoLabelConfig
from pipelines.data.classes import load_classes
from pipelines.data.instance_sources.opening import open_instances
from pipelines.data.notes import Notes
from pipelines.data.rle import encode_masks
from pipelines.errors import ConfigError, InputError
from pipelines.events import Events
from pipelines.labels.instances import MaskSource, named_by_source, open_source, source_hash
from pipelines.pseudo_label import pseudo_label

VOC = load_classes("voc")
PICTURE = np.zeros((6, 8, 3), np.uint8)
LEFT, RIGHT = np.zeros((6, 8), bool), np.zeros((6, 8), bool)
LEFT[1:4, 0:3], RIGHT[2:6, 5:8] = True, True


def config(instances: Path, **changes: Any) -> PseudoLabelConfig:
    images, out = instances.parent / "images", instances.parent / "out"
    return PseudoLabelConfig(**{"images": images, "out": out, "instances": instances, "recognise": "off"} | changes)


def pictures(folder: Path, names: tuple[str, ...] = ("a", "sub/b")) -> dict[str, Path]:
    """Write the pictures, and return their files by image id."""
    for name in names:
        png(folder / "images" / f"{name}.png", PICTURE)
    return {name: folder / "images" / f"{name}.png" for name in names}


def source(instances: Path, images: tuple[str, ...] = ("a", "sub/b"), **words: tuple[str, ...]) -> MaskSource:
    """Open the masks for pictures with the given keywords; those without any show a cat."""
    files = pictures(instances.parent, images)
    keywords = {name: VOC.keywords(words.get(name, ("cat",))) for name in images}
    masks = open_instances(instances, files)
    return open_source(config(instances), masks, files, keywords, VOC, 0.0, Notes(Events()))


def coco(path: Path, **changes: Any) -> Path:
    """Write a COCO file: picture a has two instances and a crowd, sub/b has none."""
    left, right = encode_masks(np.stack([LEFT, RIGHT]))
    content = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "height": 6, "width": 8},
            {"id": 2, "file_name": "sub/b.jpg", "height": 6, "width": 8},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "score": 0.25, "category_id": 7, "segmentation": left},
            {"id": 2, "image_id": 1, "score": 0.75, "category_id": 9, "segmentation": right},
            {"id": 900100000003, "image_id": 1, "iscrowd": 1, "segmentation": left},
        ],
        "categories": [{"id": 7, "name": "Dog"}, {"id": 9, "name": "salient"}],
    }
    path.write_text(json.dumps(content | changes))
    return path


def png(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def numbered(folder: Path) -> Path:
    png(folder / "a.png", LEFT * 1 + RIGHT * 7 + 255 * (np.arange(6)[:, None] == 0))
    png(folder / "sub/b.png", np.zeros((6, 8)))
    return folder


def one_by_one(folder: Path) -> Path:
    png(folder / "a/0.png", 255 * LEFT)
    png(folder / "a/1.png", 255 * RIGHT)
    png(folder / "sub/b/0.png", np.zeros((6, 8)))
    return folder


@pytest.mark.parametrize("make", [numbered, one_by_one])
def test_folders_of_masks_give_the_instances(tmp_path: Path, make):
    find = source(make(tmp_path / "masks"))
    found = find("a", PICTURE)
    assert np.array_equal(found.masks, np.stack([LEFT, RIGHT]))
    assert found.scores.tolist() == [1, 1]
    assert len(find("sub/b", PICTURE)) == 0


def test_coco_json_gives_the_instances_best_first(tmp_path: Path):
    find = source(coco(tmp_path / "found.json"))
    found = find("a", PICTURE)
    assert np.array_equal(found.masks, np.stack([RIGHT, LEFT]))
    assert found.scores.tolist() == [0.75, 0.25]
    assert len(find("sub/b", PICTURE)) == 0


def test_instances_without_score_are_certain(tmp_path: Path):
    polygon = {"id": 1, "image_id": 1, "segmentation": [[0, 0, 4, 0, 4, 3, 0, 3]]}
    found = source(coco(tmp_path / "found.json", annotations=[polygon]))("a", PICTURE)
    assert found.scores.tolist() == [1]
    assert found.masks.sum() == 12


@pytest.mark.parametrize(
    ("annotation", "finding"),
    [
        ({"segmentation": None}, "none of its 1 masks is usable"),
        ({"segmentation": {"size": [6, 8], "counts": "04"}}, "none of its 1 masks is usable"),
        ({"segmentation": encode_masks(LEFT[None])[0], "score": 1.5}, "scores are 1.5"),
        ({"segmentation": encode_masks(LEFT[None])[0], "score": float("nan")}, "scores are nan"),
        ({"segmentation": encode_masks(LEFT[None])[0], "score": "high"}, "high"),
    ],
)
def test_a_mask_that_cannot_be_fails_its_picture_alone(tmp_path: Path, annotation: dict, finding: str):
    find = source(coco(tmp_path / "found.json", annotations=[{"id": 1, "image_id": 1, **annotation}]))
    with pytest.raises(InputError, match=rf"found\.json: a: .*{finding}.*coco-mask"):
        find("a", PICTURE)
    assert len(find("sub/b", PICTURE)) == 0


@pytest.mark.parametrize("make", [numbered, one_by_one, coco])
def test_a_picture_that_nothing_is_known_of_is_told(tmp_path: Path, make):
    find = source(make(tmp_path / "masks"), ("a", "c"))
    with pytest.raises(InputError, match=r"nothing about c, .*masks-missing"):
        find("c", PICTURE)


@pytest.mark.parametrize("make", [numbered, one_by_one, coco])
def test_masks_of_other_pictures_are_refused_as_a_whole(tmp_path: Path, make):
    with pytest.raises(InputError, match=r"none of the 2 pictures \(x, \.\.\.\), but of .*masks-none"):
        source(make(tmp_path / "masks"), ("x", "y"))


@pytest.mark.parametrize("make", [numbered, one_by_one, coco])
def test_masks_of_another_shape_are_refused(tmp_path: Path, make):
    find = source(make(tmp_path / "masks"))
    png(tmp_path / "images/a.png", np.zeros((6, 9, 3)))
    with pytest.raises(InputError, match=r"mask of 8x6, 9x6 as the picture expected.*mask-size"):
        find("a", np.zeros((6, 9, 3), np.uint8))


@pytest.mark.parametrize("make", [numbered, one_by_one, coco])
def test_masks_follow_a_picture_that_was_scaled(tmp_path: Path, make):
    find = source(make(tmp_path / "masks"))
    png(tmp_path / "images/a.png", np.zeros((12, 16, 3)))
    found = find("a", np.zeros((12, 16, 3), np.uint8))
    twice = np.ones((2, 2), bool)
    assert {mask.tobytes() for mask in found.masks} == {np.kron(mask, twice).tobytes() for mask in (LEFT, RIGHT)}


def test_a_category_that_is_a_keyword_of_the_picture_is_kept(tmp_path: Path):
    both = source(coco(tmp_path / "found.json"), a=("cat", "dog"))("a", PICTURE)
    assert both.named.tolist() == [0, 12]  # best first: "salient" says nothing, "Dog" is VOC's twelfth class
    one = source(coco(tmp_path / "found.json"), a=("cat",))("a", PICTURE)
    assert one.named.tolist() == [0, 0]


def test_a_mask_of_the_background_is_left_out_unless_its_category_is_a_keyword(tmp_path: Path):
    masks = encode_masks(np.stack([~RIGHT, RIGHT]))
    found = [{"id": n, "image_id": 1, "category_id": 7 + 2 * n, "segmentation": mask} for n, mask in enumerate(masks)]
    path = coco(tmp_path / "found.json", annotations=found)
    assert np.array_equal(source(path)("a", PICTURE).masks, RIGHT[None])
    assert len(source(path, a=("cat", "dog"))("a", PICTURE)) == 2  # category 7 is a dog


def test_every_instance_with_a_keyword_of_its_own_leaves_nothing_to_decide(tmp_path: Path):
    path = coco(tmp_path / "found.json")
    keywords = {"a": VOC.keywords(("cat", "dog")), "sub/b": VOC.keywords(("cat", "dog"))}
    files = pictures(tmp_path)
    assert named_by_source(open_instances(path, files), keywords, VOC) == {"sub/b"}  # "salient" leaves a open
    path.write_text(path.read_text().replace("salient", "cats"))
    assert named_by_source(open_instances(path, files), keywords, VOC) == {"a", "sub/b"}
    assert named_by_source(None, keywords, VOC) == set()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"images": 3}, "coco-structure"),
        ({"annotations": None}, "coco-structure"),
        ({"images": [{}]}, "coco-structure"),
        ({"annotations": [{"image_id": 9}]}, "coco-unknown-image"),
    ],
)
def test_json_of_another_form_is_refused(tmp_path: Path, change: dict, rule: str):
    with pytest.raises(InputError, match=rule):
        source(coco(tmp_path / "found.json", **change))


@pytest.mark.parametrize("make", [numbered, one_by_one, coco])
def test_the_hash_tells_contents_apart_but_not_places(tmp_path: Path, make):
    (tmp_path / "other").mkdir()
    first, again = make(tmp_path / "masks"), make(tmp_path / "other" / "masks")
    files = pictures(tmp_path)

    def hashed(path: Path) -> dict[str, str]:
        return source_hash(config(path), open_instances(path, files))

    assert hashed(first) == hashed(again)
    if again.is_dir():
        png(again / "sub/b.png" if (again / "a.png").is_file() else again / "sub/b/0.png", np.ones((6, 8)))
    else:
        coco(again, annotations=[])
    assert hashed(first) != hashed(again)


def test_one_source_alone_is_taken(tmp_path: Path):
    with pytest.raises(ConfigError, match="both given"):
        config(tmp_path / "masks", weights=tmp_path / "run")


@pytest.mark.parametrize("make", [numbered, one_by_one, coco])
def test_every_source_becomes_labels(tmp_path: Path, make):
    for name in ("a", "sub/b"):
        png(tmp_path / f"images/{name}.png", PICTURE)
    (tmp_path / "keywords.csv").write_text("image,keywords\na,cat\nsub/b,dog\n")
    result = pseudo_label(
        config(make(tmp_path / "masks"), keywords=str(tmp_path / "keywords.csv"), min_score=0.2, sure_score=0.2),
        Events(),
    )
    assert (result["labelled"], result["empty"], result["assigned"]) == (1, 1, 2)
    label_map = np.asarray(Image.open(tmp_path / "out/labels/a.png"))
    assert np.array_equal(label_map == 8, LEFT | RIGHT)
    assert "instances_sha256" in json.loads((tmp_path / "out/manifest.json").read_text())


def test_instances_with_their_own_keywords_need_no_network(tmp_path: Path):
    path = coco(tmp_path / "found.json")
    path.write_text(path.read_text().replace("salient", "cats"))  # RIGHT is a cat, LEFT a dog
    for name in ("a", "sub/b"):
        png(tmp_path / f"images/{name}.png", PICTURE)
    (tmp_path / "keywords.csv").write_text("image,keywords\na,cat;dog\nsub/b,cat;dog\n")
    # Strategy auto would train an attention network for two pictures with several keywords.
    pseudo_label(config(path, keywords=str(tmp_path / "keywords.csv"), min_score=0.2, sure_score=0.2), Events())
    label_map = np.asarray(Image.open(tmp_path / "out/labels/a.png"))
    assert np.array_equal(label_map == 8, RIGHT) and np.array_equal(label_map == 12, LEFT)
    record = json.loads((tmp_path / "out/records.jsonl").read_text().splitlines()[0])
    assert [instance["rule"] for instance in record["instances"]] == ["named", "named"]

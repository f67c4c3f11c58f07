"""Several folders of pictures, with a source of keywords each or one for all."""

import io
import tarfile
from pathlib import Path

import pytest

from pipelines.data.classes import VOC_CLASSES
from pipelines.data.keyworded_pictures import KeywordedPictures
from pipelines.data.notes import Notes
from pipelines.data.picture_folders import find_pictures, name_below
from pipelines.data.tar_shards import TarMember
from pipelines.errors import InputError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def write_tar(path: Path, *members: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name in members:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Three pictures, two of them with keywords in the list `train`; returns their folder."""
    main, lists = (tmp_path / "VOC" / "ImageSets" / name for name in ("Main", "Segmentation"))
    for folder in (main, lists):
        folder.mkdir(parents=True)
    for word, shown in (("cat", "2007_1"), ("dog", "2007_2")):
        (main / f"{word}_train.txt").write_text(
            "".join(f"2007_{i} {1 if f'2007_{i}' == shown else -1}\n" for i in (1, 2))
        )
    (lists / "train.txt").write_text("2007_1\n2007_2\n")
    return touch(tmp_path / "VOC" / "JPEGImages", "2007_1.jpg", "2007_2.jpg", "2007_3.jpg")


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    return touch(tmp_path / "imagenet", "n02084071/n02084071_4.JPEG", "n02123045/n02123045_5.JPEG")


EXPECTED = {
    "2007_1": ("cat",),
    "2007_2": ("dog",),
    "n02084071/n02084071_4": ("dog",),
    "n02123045/n02123045_5": ("cat",),
}


def test_voc_with_imagenet_takes_the_split_of_voc_and_all_of_the_rest(voc: Path, imagenet: Path) -> None:
    pictures = KeywordedPictures([voc, imagenet], ["auto"], "train", Notes())
    classes, table = pictures.read(None)
    assert (classes.names, table) == (VOC_CLASSES, EXPECTED)
    assert list(table) == sorted(table) and list(pictures.images) == sorted(pictures.images)
    assert len(pictures.images) == 5
    assert pictures.read("auto")[0].names == ("cat", "dog")
    assert pictures.faults(None) == []
    with pytest.raises(InputError, match=r"no such split.*\[split-missing\]"):
        KeywordedPictures([imagenet, voc], ["auto"], "trian", Notes()).read(None)


def test_each_folder_has_its_source_or_all_share_a_table(voc: Path, imagenet: Path, tmp_path: Path) -> None:
    own, joint = tmp_path / "own.csv", tmp_path / "joint.csv"
    own.write_text("image,keywords\nn02084071/n02084071_4,cow\n")
    table = KeywordedPictures([voc, imagenet], ["auto", str(own)], "train", Notes()).read(None)[1]
    assert table == {"2007_1": ("cat",), "2007_2": ("dog",), "n02084071/n02084071_4": ("cow",)}
    joint.write_text("image,keywords\n2007_1,bus\n2007_3.jpg,car\nn02123045/n02123045_5,boat\n")
    table = KeywordedPictures([voc, imagenet], [str(joint)], None, Notes()).read(None)[1]
    assert table == {"2007_1": ("bus",), "2007_3": ("car",), "n02123045/n02123045_5": ("boat",)}
    for sources in ([str(joint)], [str(joint), str(joint)]):
        table = KeywordedPictures([voc, imagenet], sources, "train", Notes()).read(None)[1]
        assert table == {"2007_1": ("bus",), "n02123045/n02123045_5": ("boat",)}  # 2007_3 is not in the split
    joint.write_text("image,keywords\n2007_1,bus\n2007_9,car\n")
    pictures = KeywordedPictures([voc, imagenet], [str(joint)], None, Notes())
    assert [fault.rule for fault in pictures.faults(None)] == ["image-missing"]
    assert "2007_9 is not in" in pictures.faults(None)[0].message
    with pytest.raises(InputError, match=r"\[keywords-picture-missing\]"):
        pictures.read(None)


def test_words_of_all_folders_decide_on_the_classes(voc: Path, tmp_path: Path) -> None:
    fruit = touch(tmp_path / "fruit", "apple/a.jpg", "pear/b.jpg")
    more = touch(tmp_path / "more", "Apple/c.jpg", "kiwi/d.jpg")
    classes, table = KeywordedPictures([fruit, more], ["auto"], None, Notes()).read(None)
    assert (classes.names, table["Apple/c"]) == (("Apple", "kiwi", "pear"), ("Apple",))
    mixed = KeywordedPictures([fruit, voc], ["auto"], "train", Notes())
    assert mixed.read("auto")[0].names == ("apple", "cat", "dog", "pear")
    with pytest.raises(InputError, match=r"fruit: folders apple, pear name no class of the list.*\[keywords-none\]"):
        mixed.read(None)  # one set is VOC's, so the list is


def test_ids_of_a_single_folder_stay_and_those_of_several_lead_from_each(voc: Path, imagenet: Path) -> None:
    assert list(find_pictures([voc])) == ["2007_1", "2007_2", "2007_3"]
    found = find_pictures([imagenet, voc])
    assert list(found) == ["2007_1", "2007_2", "2007_3", "n02084071/n02084071_4", "n02123045/n02123045_5"]
    assert name_below(found["n02084071/n02084071_4"], [imagenet, voc]) == "n02084071/n02084071_4.JPEG"
    assert name_below(found["2007_1"], [imagenet, voc]) == "2007_1.jpg"


def test_names_lead_from_the_current_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "here", "cat/a.jpg")
    touch(tmp_path / "there", "dog/b.jpg")
    monkeypatch.chdir(tmp_path / "here")
    folders = [Path("."), Path("../there")]
    assert [name_below(place, folders) for place in find_pictures(folders).values()] == ["cat/a.jpg", "dog/b.jpg"]
    with pytest.raises(ValueError, match="below none"):
        name_below(Path("/elsewhere/c.jpg"), [Path("../there")])


def test_the_same_path_in_two_folders_is_refused_with_all_pairs(tmp_path: Path) -> None:
    first, second = (touch(tmp_path / name, "cat/1.jpg", "cat/2.jpg", f"dog/{name}.jpg") for name in ("a", "b"))
    with pytest.raises(InputError) as caught:
        find_pictures([first, second])
    message = str(caught.value)
    assert caught.value.rule == "image-id-twice" and "2 pictures of several folders" in message
    for name in ("1", "2"):
        assert f"{first}/cat/{name}.jpg and {second}/cat/{name}.jpg" in message
    assert "give the folder above all of them" in message
    assert len(find_pictures([tmp_path])) == 6
    (second / "cat" / "1.jpg").rename(second / "cat" / "1.png")  # the suffix is no part of the id
    with pytest.raises(InputError, match="2 pictures of several folders"):
        find_pictures([first, second])


@pytest.mark.parametrize("other", ["a", "a/cat", "link", "a/../a/cat"])
def test_pictures_are_not_taken_twice(other: str, tmp_path: Path) -> None:
    folder = touch(tmp_path / "a", "cat/1.jpg")
    (tmp_path / "link").symlink_to(folder / "cat", target_is_directory=True)
    with pytest.raises(InputError, match=r"expected folders apart; name one of both \[images-overlap\]"):
        find_pictures([folder, tmp_path / other])


def test_tars_may_be_named_beside_folders(tmp_path: Path) -> None:
    folder = touch(tmp_path / "folder", "cat/1.jpg")
    shard = write_tar(tmp_path / "shards" / "dog.tar", "2.jpg")
    found = find_pictures([folder, shard])
    assert list(found) == ["cat/1", "dog/2"] and isinstance(found["dog/2"], TarMember)
    assert name_below(found["dog/2"], [folder, shard]) == "dog/2.jpg"
    table = KeywordedPictures([folder, shard], ["auto"], None, Notes()).read(None)[1]
    assert table == {"cat/1": ("cat",), "dog/2": ("dog",)}
    assert list(find_pictures([shard])) == ["dog/2"]  # as in the folder around it
    with pytest.raises(InputError, match=r"\[images-overlap\]"):
        find_pictures([shard.parent, shard])

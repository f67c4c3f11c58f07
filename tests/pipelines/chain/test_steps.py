from pathlib import Path
from typing import Any

import pytest

from pipelines.chain.step import Step
from pipelines.chain.steps import chain_steps
from pipelines.config import RunConfig, resolve, usual_places
from pipelines.errors import ConfigError

TABLES = {
    "train": "[train]\nimages = 'salient'\nannotations = 'salient.json'\n",
    "pseudo-label": "[pseudo-label]\nimages = 'pictures'\nclasses = 'animals.txt'\n",
    "deeplab-train": "[deeplab-train]\n",
    "evaluate": "[evaluate]\nvoc = 'VOC2012'\n",
}
ALL = "".join(TABLES.values())


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(usual_places, "_BUILTIN_FILE", tmp_path / "none.safetensors")  # no network ships here

    def steps(text: str = ALL, **flags: Any) -> dict[str, Step]:
        path = Path("chain.toml")
        path.write_text(text)
        return {step.name: step for step in chain_steps(resolve(RunConfig, path, {"file": path, **flags}))}

    return steps


def names_after(step: Step) -> tuple[str, ...]:
    return tuple(earlier.name for earlier in step.after)


def config_of(steps: dict[str, Step], name: str) -> Any:
    return steps[name].config


def test_each_stage_gets_what_the_ones_before_it_make(chain: Any) -> None:
    steps = chain()
    assert list(steps) == list(TABLES)
    train, labels = config_of(steps, "train"), config_of(steps, "pseudo-label")
    deeplab, score = config_of(steps, "deeplab-train"), config_of(steps, "evaluate")
    out = Path("chain")
    assert (train.run, labels.weights, labels.out) == (out / "s4net", out / "s4net", out / "labels")
    assert (deeplab.images, deeplab.labels, deeplab.classes) == ((Path("pictures"),), out / "labels", None)
    assert (deeplab.run, score.weights, score.classes) == (out / "deeplab", out / "deeplab", "animals.txt")
    assert {name: names_after(step) for name, step in steps.items()} == {
        "train": (),
        "pseudo-label": ("train",),
        "deeplab-train": ("pseudo-label",),
        "evaluate": ("deeplab-train",),
    }


def test_what_a_table_says_is_not_overridden_by_what_would_be_filled_in(chain: Any) -> None:
    steps = chain(ALL.replace("[deeplab-train]", "[deeplab-train]\nrun = 'elsewhere'\nimages = 'others'"))
    assert config_of(steps, "deeplab-train").run == config_of(steps, "evaluate").weights == Path("elsewhere")
    assert config_of(steps, "deeplab-train").images == (Path("others"),)
    assert names_after(steps["evaluate"]) == ("deeplab-train",)


def test_settings_for_every_stage_beat_tables_which_beat_shared_keys(chain: Any) -> None:
    text = "device = 'cuda:0'\nworkers = 5\n" + ALL.replace("[evaluate]", "[evaluate]\nworkers = 7\n")
    steps = chain(text, device="cpu")
    assert {config.device for config in (step.config for step in steps.values())} == {"cpu"}
    assert [step.config.workers for step in steps.values()] == [5, 5, 5, 7]  # type: ignore[attr-defined]
    steps = chain("[run]\nworkers = 1\nout = 'other'\n" + ALL)
    assert {config_of(steps, name).workers for name in steps} == {1}
    assert config_of(steps, "train").run == Path("other/s4net")


def test_paths_lead_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "place").mkdir()
    path = Path("place/chain.toml")
    path.write_text("[run]\nout = 'made'\n" + ALL)
    train, labels, deeplab, score = (step.config for step in chain_steps(resolve(RunConfig, path, {"file": path})))
    assert (train.images, train.run) == (Path("place/salient"), Path("place/made/s4net"))
    assert (labels.images, labels.classes) == ((Path("place/pictures"),), "place/animals.txt")
    assert (deeplab.images, score.voc) == ((Path("place/pictures"),), Path("place/VOC2012"))


def test_a_stage_without_a_table_is_left_out(chain: Any) -> None:
    weights = TABLES["pseudo-label"] + "weights = 'given'\n"
    steps = chain(weights + TABLES["deeplab-train"])
    assert list(steps) == ["pseudo-label", "deeplab-train"]
    assert (config_of(steps, "pseudo-label").weights, names_after(steps["pseudo-label"])) == (Path("given"), ())


def test_instances_from_elsewhere_take_the_place_of_the_network(chain: Any) -> None:
    config = config_of(chain(TABLES["train"] + TABLES["pseudo-label"] + "instances = 'masks'\n"), "pseudo-label")
    assert (config.weights, config.instances) == (None, Path("masks"))


@pytest.mark.parametrize(
    ("tables", "more", "expected"),
    [
        (("train", "pseudo-label", "evaluate"), "", {"labels": Path("chain/labels")}),
        (("train", "evaluate"), "foreground = true", {"weights": Path("chain/s4net")}),
        (tuple(TABLES), "annotations = 'a.json'", {"weights": Path("chain/s4net")}),
        (tuple(TABLES), "predictions = 'maps'", {"predictions": Path("maps")}),
    ],
)
def test_evaluate_scores_what_its_table_is_meant_for(
    chain: Any, tables: tuple[str, ...], more: str, expected: dict[str, Path]
) -> None:
    config = config_of(chain("".join(TABLES[name] for name in tables) + more), "evaluate")
    names = ("weights", "labels", "predictions")
    assert {name: getattr(config, name) for name in names if getattr(config, name)} == expected


def test_rounds_have_folders_of_their_own_and_help_the_next(chain: Any) -> None:
    steps = chain(ALL + "save_predictions = 'maps'\n", rounds=3)
    assert list(steps)[1:4] == ["pseudo-label-1", "deeplab-train-1", "evaluate-1"]
    assert [step.number for step in steps.values()] == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    out = Path("chain")
    segmenters = [config_of(steps, f"pseudo-label-{k}").segmenter for k in (1, 2, 3)]
    assert segmenters == [None, out / "deeplab-1", out / "deeplab-2"]
    third = config_of(steps, "deeplab-train-3")
    assert (third.labels, third.run) == (out / "labels-3", out / "deeplab-3")
    earlier = [config_of(steps, f"pseudo-label-{k}").cues_of for k in (1, 2, 3)]
    assert earlier == [None, out / "labels-1", out / "labels-2"]
    assert names_after(steps["pseudo-label-3"]) == ("train", "pseudo-label-2", "deeplab-train-2")
    assert config_of(steps, "evaluate-2").save_predictions == Path("maps-2")


def test_rounds_need_labels_and_a_training_alone(chain: Any) -> None:
    tables = TABLES["pseudo-label"] + "weights = 'given'\n" + TABLES["deeplab-train"]
    names = ["pseudo-label-1", "deeplab-train-1", "pseudo-label-2", "deeplab-train-2"]
    assert list(chain(tables, rounds=2)) == names


def test_classes_of_an_evaluation_are_those_of_the_training_on_given_labels(chain: Any) -> None:
    given = TABLES["deeplab-train"] + "images = 'pictures'\nlabels = 'masks'\n"
    assert config_of(chain(given + "classes = 'few.txt'\n" + TABLES["evaluate"]), "evaluate").classes == "few.txt"
    assert config_of(chain(given + TABLES["evaluate"]), "evaluate").classes is None


def test_the_first_round_may_train_on_pictures_with_one_keyword(chain: Any) -> None:
    text = ALL.replace("[deeplab-train]", "[deeplab-train]\nlist = 'some.txt'")
    steps = chain(text, rounds=2, first_round="single")
    first, second = steps["deeplab-train-1"], steps["deeplab-train-2"]
    assert (first.single, first.within, config_of(steps, first.name).list) == (
        True,
        Path("some.txt"),
        Path("chain/round-1.txt"),
    )
    assert (second.single, config_of(steps, second.name).list) == (False, Path("some.txt"))


@pytest.mark.parametrize(
    ("text", "flags", "words"),
    [
        ("[run]\nout = 'x'\n", {}, ["no table of a stage", "[chain-empty]"]),
        (TABLES["train"] + "resume = true", {}, ["[train] resume", "[chain-setting]"]),
        (ALL.replace("[pseudo-label]", "[pseudo-label]\nshard = '1/2'"), {}, ["shard", "[chain-setting]"]),
        (TABLES["pseudo-label"] + "dry_run = true", {}, ["[pseudo-label] dry_run", "[chain-setting]"]),
        (
            ALL.replace("[deeplab-train]", "[deeplab-train]\nlabels = 'l'"),
            {"first_round": "single"},
            ["--first-round single: [deeplab-train] labels", "[chain-rounds]"],
        ),
        (TABLES["train"], {"rounds": 2}, ["--rounds 2", "[pseudo-label]", "[chain-rounds]"]),
        (ALL + "labels = 'l'", {"rounds": 2}, ["[evaluate] labels", "[chain-rounds]"]),
        (TABLES["pseudo-label"], {}, ["[pseudo-label] --weights: not given", "[setting-missing]"]),
        (TABLES["deeplab-train"], {}, ["[deeplab-train] --images", "[setting-missing]"]),
        (ALL + "[trian]\n", {}, ["did you mean train?", "[setting-unknown]"]),
        (ALL + "scalez = '1'", {}, ["[evaluate]", "did you mean scales?"]),
        ("stepz = 2\n" + ALL, {}, ["did you mean steps?"]),
        (ALL, {"out": Path("pictures/out")}, ["inside the pictures pictures", "[chain-place]"]),
        (ALL.replace("[deeplab-train]", "[deeplab-train]\nrun = 'x/../chain/s4net'"), {}, ["[chain-place]"]),
        (ALL, {"rounds": 0}, ["--rounds", "1 or more"]),
    ],
)
def test_a_chain_that_cannot_be_is_refused(chain: Any, text: str, flags: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        chain(text, **flags)
    for word in words:
        assert word in str(caught.value)


def test_the_folder_is_named_after_the_file() -> None:
    assert RunConfig(file=Path("place/voc.toml")).folder == Path("place/voc")
    assert RunConfig(file=Path("place/voc")).folder == Path("place/voc-out")
    assert RunConfig(file=Path("place/voc.toml"), out=Path("o")).folder == Path("o")

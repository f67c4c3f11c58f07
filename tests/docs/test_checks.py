"""Each check finds what was planted, on its line, and nothing else."""

from pathlib import Path
from typing import cast

import click
import pytest

from s4cli.main import s4
from tests.docs.checks import (
    command_lines,
    dead_links,
    dead_names,
    overlooked,
    undocumented,
    wrong_commands,
    wrong_python,
    wrong_settings,
)
from tests.docs.markdown import Markdown

ROOT = Path(__file__).parent.parent.parent
TRAIN = "s4 train --images DIR --annotations train.json --run RUN"
LABEL = "s4 pseudo-label --images DIR --weights RUN --out LABELS"


def fenced(*lines: str, language: str = "") -> str:
    return "\n".join([f"```{language}", *lines, "```"])


def places(faults: list[str]) -> list[str]:
    """`document:line` of each fault."""
    return [":".join(fault.split(":")[:2]) for fault in faults]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("s4 trian --images DIR", "No such command 'trian'"),
        ("s4 config list", "No such command 'list'"),
        ("s4 --loud", "No such option '--loud'"),
        (f"{TRAIN} --alhpa 0.5", "No such option '--alhpa'"),
        (f"{TRAIN} --roi circle", "'circle' is not one of"),
        (f"{TRAIN} --roi binary|circle", "'circle' is not one of"),
        (f"{TRAIN} --roi=circle", "'circle' is not one of"),
        (f"{TRAIN} [--roi circle]", "'circle' is not one of"),
        (f"{TRAIN} --steps many", "'many' is not a valid integer"),
        (f"{TRAIN} --steps 0", "1 or more expected"),
        (f"{TRAIN} --alpha 2", "0 to 1 expected"),
        (f"{TRAIN} --steps", "requires an argument"),
        (f"{TRAIN} stray", "unexpected extra argument (stray)"),
        (f"{TRAIN} --resume stray", "unexpected extra argument (stray)"),
        (f"{LABEL} --shard 1", "I/N, such as 1/4 expected"),
        ("s4 train --images DIR --run RUN", "--annotations: not given"),
        ("s4 predict --weights RUN --out DIR", "--images and --voc: neither given"),
        ("s4 run a.toml b.toml", "unexpected extra argument (b.toml)"),
        ("s4 config show nothing", "'nothing' is not one of"),
        ("OMP_NUM_THREADS=1 torchrun --nproc-per-node 4 -- $(which s4) train --images DIR --run RUN", "--annotations"),
        ("make demo && s4 demo --sede 1 | tee log.txt", "No such option '--sede'"),
        ('"$S4" demo --sede 1', "No such option '--sede'"),
        ("${S4:-s4} demo --sede 1", "No such option '--sede'"),
        (".venv/bin/s4 demo --sede 1", "No such option '--sede'"),
        ("miou=$(s4 evaluate --vok DIR --json)", "No such option '--vok'"),
        ("if ! s4 demo --sede 1; then exit 1; fi", "No such option '--sede'"),
        ("$ s4 demo --sede 1", "No such option '--sede'"),
    ],
)
def test_a_wrong_line_is_found(line: str, problem: str) -> None:
    (found,) = wrong_commands("a.md", f"# Use\n\n{fenced(line)}\n")
    assert found.startswith("a.md:4: s4 ")
    assert problem in found


@pytest.mark.parametrize(
    "line",
    [
        TRAIN,
        f"{TRAIN}   # --alhpa",
        f"{TRAIN} --steps N --lr X --roi ROI --alpha $alpha",
        f"{TRAIN} --roi ternary|binary [--steps N] [--resume]",
        f"{TRAIN} > log.txt 2>&1 &",
        'THREADS=1 torchrun --nproc-per-node 4 -- $(which s4) train --images "$DATA/a b" --annotations a --run r',
        "s4 train ... --seed 0",
        "s4 train --config FILE.toml",
        "s4 train --run RUN --resume",
        's4 train --steps 3 "$@"',
        "s4 train --help",
        f"{LABEL} --shard I/N",
        f"{LABEL} --shard $part/2",
        "s4 convert --to csv --images <folder> --out $out",
        "s4 convert --to csv --images DIR --out keywords.csv",
        "s4 evaluate --voc DIR [--weights RUN | --predictions DIR]",
        "s4 config show COMMAND",
        "s4 COMMAND --help",
        "s4 --version",
        "s4 run FILE.toml --dry-run && s4 demo; s4 bench",
        "cat <<EOF > run.toml\n[trian]\ndon't\nEOF\ns4 run run.toml",
        "pip install 's4-segmentation[demo]'",
    ],
)
def test_a_right_line_passes(line: str) -> None:
    assert wrong_commands("a.md", fenced(line)) == []


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("Try `s4 evaluate --labels`, `s4 train` and `s4`.", []),
        ("Try `s4 evaluate --lables`.", ["a.md:3"]),
        ("Try `s4 evaluat`.", ["a.md:3"]),
        ("Try `s4 train --roi circle`.", ["a.md:3"]),
        ("Try `s4 evaluate --voc --split val`.", []),
        ("A span may break: `s4 evaluate --voc DIR\n--lables x`.", ["a.md:3"]),
        ("Either `--assign graph` or `--roi binary`.", []),
        ("Either `--assign circle`,\nor `--rio`.", ["a.md:3", "a.md:4"]),
        ("The step `train --images` comes before `train --imges`.", ["a.md:3"]),
        ("The lists are `train` and `val`; s4 trian is no code.", []),
        ("| `s4 bench` | `--what branch\\|proposals` |", []),
        ("| `s4 bench` | `--what branch\\|circle` |", ["a.md:3"]),
        ("    s4 demo --sede 1", ["a.md:3"]),
        ("- A list\n\n    goes on with `s4 train`, which s4 is made for.", []),
    ],
)
def test_what_sentences_mention_exists_but_may_be_a_part(sentence: str, found: list[str]) -> None:
    assert places(wrong_commands("a.md", f"# Use\n\n{sentence}\n")) == found


def test_all_faults_are_told_with_their_lines() -> None:
    text = "\n".join(
        ["`s4 trian`", "", fenced("s4 demo --sede 1", f"{TRAIN} \\", "  --alhpa 1", "s4 demo --seed x"), ""]
    )
    assert places(wrong_commands("a.md", text)) == ["a.md:4", "a.md:5", "a.md:7", "a.md:1"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('data=$1\ns4 run "$data/a.toml"', ["run $1/a.toml"]),
        ('s4 run "${1:-x.toml}" --out ${2:?folder}', ["run x.toml --out ${2:?folder}"]),
        ('two="torchrun -- $(which s4)"\ndemo="$two demo --seed 1"\n$demo --small', ["demo --seed 1 --small"]),
        ('more="--seed 1 \\\n  --small"\ns4 demo $more', ["demo --seed 1 --small"]),
        ('more="--seed 1"\ns4 demo "$more"', ["demo --seed 1"]),  # one word, as in the shell; see the next test
        ('for seed in 0 1; do s4 demo --seed "$seed"; done', ["demo --seed 0", "demo --seed 1"]),
        ('for more in "" "--small --json"; do\n  s4 demo $more\ndone', ["demo", "demo --small --json"]),
        ("for i in {1..3}; do s4 demo --seed $i; done", ["demo --seed $i"]),
        ("for run in runs/*; do s4 evaluate --weights $run; done", ["evaluate --weights $run"]),
        ("more=(--seed 1)\nmore+=(--out 'a b')\ns4 demo \"${more[@]}\"", ["demo --seed 1 --out a b"]),
        ("empty=()\nfor x in $empty; do s4 demo $x; done", ["demo $x"]),
        (
            'seed() { s4 demo --seed "$1" "${@:2}"; }\nseed 3 --small',
            ["demo --seed $1 ${@:2}", "demo --seed 3 --small"],
        ),
        (
            'pair() {\n  torchrun -- "$(command -v "$1")" "${@:2}"\n}\nS4=${S4:-s4}\npair "$S4" demo --small',
            ["demo --small"],
        ),
        ("echo \"don't\" # don't\ns4 demo", ["demo"]),
    ],
)
def test_scripts_are_read_as_the_shell_reads_them(script: str, expected: list[str]) -> None:
    assert [" ".join(line.arguments) for line in command_lines("a.sh", script)] == expected


def test_quotes_keep_a_value_in_one_word() -> None:
    (line,) = command_lines("a.sh", 'more="--seed 1"\ns4 demo "$more" \'a  b\' c\\ d')
    assert line.arguments == ("demo", "--seed 1", "a  b", "c d")


def test_variables_of_a_block_hold_in_the_blocks_behind_it() -> None:
    text = fenced("demo='s4 demo --seed 1'") + "\nand then\n" + fenced("$demo --sede 2")
    (found,) = wrong_commands("a.md", text)
    assert found.startswith("a.md:6: s4 demo --seed 1 --sede 2\n")


def test_comments_of_examples_are_read() -> None:
    text = "#   s4 run a.toml --json     checks --every file\n#   s4 run a.toml --jsno\n# `s4 trian`\n# then s4 runs\n"
    assert places(wrong_commands("a.toml", text)) == ["a.toml:2", "a.toml:3"]


def test_a_line_that_an_open_quote_swallows_is_told() -> None:
    text = fenced("echo 'never closed", "s4 demo --sede 1", "echo 'but here")
    assert wrong_commands("a.md", text) == []
    assert places(overlooked("a.md", text)) == ["a.md:3"]
    assert places(overlooked("a.md", fenced("runs/  what s4 makes", "s4 demo", language="text"))) == ["a.md:3"]
    assert overlooked("a.md", fenced("s4 demo \\", "  --seed 1", "s4 demo")) == []


def test_settings_are_those_of_their_table() -> None:
    text = "\n".join(
        [
            "[train]  # the first",
            "steps = 10",
            "stepps = 10",
            "roi = 'circle'",
            "# alpha = 0.5   # may be",
            "# alhpa = 0.5",
            "# a sentence = another",
            "[trian]",
            "steps = 1",
            "[deeplab_train]",
            "steps = 1",
            "steps_ = [",
            "1]",
            "# [evaluat]",
        ]
    )
    assert places(wrong_settings("a.toml", text)) == [f"a.toml:{line}" for line in (3, 4, 6, 8, 12, 14)]
    assert places(wrong_settings("a.md", fenced("seed = 1", "sede = 1", language="toml"))) == ["a.md:3"]
    assert places(wrong_settings("a.md", fenced("[train", language="toml"))) == ["a.md:2"]
    assert wrong_settings("a.md", fenced("sede = 1")) == []


def everything(left_out: str = "") -> str:
    """A page with a section for each command and a row for each flag, without the row that is left out."""
    config = cast(click.Group, s4.commands["config"])
    commands: dict[str, click.Command] = {
        "s4": s4,
        **{f"s4 config {name}": one for name, one in config.commands.items()},
    }
    commands |= {f"s4 {name}": command for name, command in s4.commands.items() if name != "config"}
    rows = []
    for name, command in commands.items():
        flags = [option for param in command.params for option in param.opts]
        rows += [f"## {name}", *(f"| `{flag}` |" for flag in flags if f"{name} {flag}" != left_out)]
    return "\n".join(rows)


def test_an_undocumented_flag_is_found() -> None:
    assert undocumented({"commands.md": everything()}) == []
    (found,) = undocumented({"commands.md": everything(left_out="s4 train --alpha")})
    assert found.startswith("s4 train --alpha: ")


@pytest.mark.parametrize(
    ("text", "documented"),
    [
        ("`s4 train` takes `--alpha`.", True),
        ("`s4 train` takes --alpha.", False),
        ("`s4 train` takes `--alphas`.", False),
        ("`s4 ablate` takes `--alpha`.", False),
        ("`s4 train` has more.\nOne is `--alpha`.", False),
        ("Every command takes `--alpha`.", True),
        (fenced("s4 train --images DIR \\", "    --alpha 0.5"), True),
        ("# Ring of `s4 train`\n\n## Width\n\n`--alpha`", True),
        ("# Ring of `s4 train`\n\n# Other\n\n`--alpha`", False),
        ("# s4 train\n\n" + fenced("--alpha WIDTH"), True),
    ],
)
def test_a_flag_is_documented_near_the_name_of_its_command(text: str, documented: bool) -> None:
    faults = undocumented({"commands.md": everything(left_out="s4 train --alpha"), "other.md": text})
    assert (faults == []) == documented


def test_a_command_that_no_document_names_is_found() -> None:
    group = click.Group("s4", commands={"cut": click.Command("cut"), "grow": click.Command("grow")})
    (found,) = undocumented({"a.md": "`s4 cut` cuts."}, group)
    assert found.startswith("s4 grow: ")


@pytest.mark.parametrize(
    ("link", "is_dead"),
    [
        ("[there](docs/there.md)", False),
        ("[there](docs/their.md)", True),
        ("[a\nb](docs/there.md 'title')", False),
        ("[folder](docs)", False),
        ("[root](/docs/there.md)", False),
        ("![picture](docs/a%20b.png)", False),
        ("![picture](docs/b.png)", True),
        ("[![picture](docs/b.png)](docs/there.md)", True),
        ("[`code`](docs/their.md)", True),
        ("`[no](link.md)`", False),
        (fenced("[no](link.md)"), False),
        ("[web](https://example.org/x.md) <mailto:a@b.c>", False),
        ("[here](#what-s4-does)", False),
        ("[here](#what-it-does)", True),
        ("[there](docs/there.md#two-1)", False),
        ("[there](docs/there.md#two-2)", True),
        ("[there](docs/there.md#in-a-block)", True),
        ("[there](docs/there.md#by-hand)", False),
        ("[there](docs/code.py#L3)", False),
        ("[outside](../outside.md)", True),
        ("[nothing]()", True),
        ("[text][name]\n\n[name]: docs/there.md", False),
        ("[text][name]\n\n[name]: docs/their.md", True),
        ("[text][nane]\n\n[name]: docs/there.md", True),
        ('<img src="docs/b.png">', True),
        ('<a href="docs/there.md#two">there</a>', False),
    ],
)
def test_dead_links_and_anchors_are_found(link: str, is_dead: bool, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (tmp_path / "outside.md").touch()
    (root / "docs" / "a b.png").touch()
    (root / "docs" / "code.py").touch()
    there = "# One\n## Two\n## Two\n" + fenced("# In a block") + '\n<a id="by-hand"></a>\n'
    (root / "docs" / "there.md").write_text(there)
    faults = dead_links("README.md", f"# What `s4` does\n\n{link}\n", root)
    assert [place.split(":")[0] for place in places(faults)] == ["README.md"] * is_dead


def test_links_lead_from_the_folder_of_their_document(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Start here\n")
    text = "[up](../README.md#start-here)\n[no](README.md)\n\n[no](../README.md#start)\n"
    assert places(dead_links("docs/a.md", text, tmp_path)) == ["docs/a.md:2", "docs/a.md:4"]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("What the ring tells (the paper's Figs. 4 and 6)", "what-the-ring-tells-the-papers-figs-4-and-6"),
        ("S4Net, present `modern`", "s4net-present-modern"),
        ("`--min-score` and `min_score`", "--min-score-and-min_score"),
        ("A -- B", "a----b"),
        ("[Labels](labels.md) **first**, _then_ more", "labels-first-then-more"),
        ("Größe & Maß", "größe--maß"),
        ("Closed ##", "closed"),
    ],
)
def test_anchors_are_made_as_on_github(heading: str, anchor: str) -> None:
    assert Markdown(f"## {heading}\n").anchors == {anchor}


def test_anchors_of_like_headings_are_numbered() -> None:
    assert Markdown("# A\n# A\n# A 1\n# A\n").anchors == {"a", "a-1", "a-1-1", "a-2"}


def test_python_blocks_compile_and_import_what_exists() -> None:
    def faults(*lines: str) -> list[str]:
        return places(wrong_python("a.md", fenced(*lines, language="python"), ROOT))

    assert faults("from pipelines import load_s4net", "import s4net", "from s4net import build_s4net, PRESETS") == []
    assert faults("from pipelines.config import TrainConfig, resolve", "import numpy", "from os import nothing") == []
    assert faults("import s4net", "from pipelines import load_s4nets, load_s4net") == ["a.md:3"]
    assert faults("from s4net import Tensor") == ["a.md:2"]
    assert faults("import pipelines.nothing") == ["a.md:2"]
    assert faults("x = 1", "def f(:") == ["a.md:3"]
    assert faults("return 1") == ["a.md:2"]


def test_files_and_names_of_the_project_exist() -> None:
    lines = [
        "`pipelines/config/`, README.md, `deeplab.sharpened`, and (pipelines/files.py).",
        "`pipelines/configs/`",
        "see docs/nothing.md",
        "`deeplab.sharp`",
        "`pipelines.config.setting.checked(...)`",
        "runs/deeplab/docs/a.md, https://example.org/docs/a.md, $OUT/docs/a.md",
    ]
    assert places(dead_names("a.md", "\n".join(lines), ROOT)) == ["a.md:3", "a.md:2", "a.md:4"]
    assert dead_names("docs/a.md", "see explain/ and docs/results.md", ROOT) == []
    assert places(dead_names("a.sh", "# as in docs/nothing.md\n", ROOT)) == ["a.sh:1"]

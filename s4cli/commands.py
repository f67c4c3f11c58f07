"""The commands of `s4`, one function each.

Only the standard library, click and the settings are imported here. The body of a command imports the module of its
stage, which may import torch.
"""

import warnings
from collections.abc import Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from pipelines import __version__
from pipelines.config import (
    STAGES,
    AblateConfig,
    BenchConfig,
    CheckConfig,
    ConvertConfig,
    DeepLabTrainConfig,
    DemoConfig,
    DoctorConfig,
    EvaluateConfig,
    ExplainConfig,
    ExportConfig,
    InitConfig,
    PredictConfig,
    PseudoLabelConfig,
    ReportConfig,
    ReviewConfig,
    RunConfig,
    TrainConfig,
    to_toml,
)
from pipelines.config.setting import FOLDER_FILE, settings_of
from pipelines.errors import raise_all
from s4cli.click_commands import AnyPath, general_options, kept_lines, loudness_of, stage_command
from s4cli.completion import SHELLS, script_for
from s4cli.crash import exit_code_of
from s4cli.output import print_result
from s4cli.unread import Program

if TYPE_CHECKING:
    from pipelines.events import Events

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


def run_line(given: Sequence[str]) -> int:
    """Run a command line.

    Args:
        given: The arguments without the name of the program.

    Returns:
        The exit code.
    """
    # Pillow's warnings name no file. What makes a picture unusable comes as an error.
    warnings.filterwarnings("ignore", module=r"(.*[/\\])?PIL[./\\]")
    return exit_code_of(lambda: s4.main(list(given), prog_name="s4", standalone_mode=False), "--json" in given)


@click.group(cls=Program, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="s4", message="%(prog)s %(version)s")
def s4() -> None:
    """Weakly-supervised semantic segmentation through salient instances.

    The chain is train, pseudo-label, deeplab-train, evaluate. "s4 run" does the whole chain from one file. "s4 demo"
    does the whole chain on generated scenes. Results go to stdout, progress goes to stderr.

    A file s4.toml in the current folder gives the settings of the commands that are started there. Flags override it.
    init, check, doctor, report and export take flags alone.
    """


@stage_command(s4, TrainConfig)
def train(config: TrainConfig, events: "Events") -> dict[str, Any]:
    """Train the network that finds salient instances."""
    from pipelines.train import train

    return train(config, events)


@stage_command(s4, PseudoLabelConfig)
def pseudo_label(config: PseudoLabelConfig, events: "Events") -> dict[str, Any]:
    """Make label maps from salient instances and image-level keywords.

    In the result, "rejected" counts the pictures without a label by reason, and "doubted" the instances without a label
    by reason.
    """
    from pipelines.pseudo_label import pseudo_label

    return pseudo_label(config, events)


@stage_command(s4, ReviewConfig)
def review(config: ReviewConfig, events: "Events") -> dict[str, Any]:
    """Correct labels by hand, on a page in the browser that only this machine can open.

    The most doubtful pictures come first. Every correction is saved at once, in review.jsonl and in the label maps.
    """
    from pipelines.review import review

    return review(config, events)


@stage_command(s4, DeepLabTrainConfig)
def deeplab_train(config: DeepLabTrainConfig, events: "Events") -> dict[str, Any]:
    """Train a semantic segmentation network on label maps."""
    from pipelines.deeplab_train import deeplab_train

    return deeplab_train(config, events)


@stage_command(s4, EvaluateConfig)
def evaluate(config: EvaluateConfig, events: "Events") -> dict[str, Any]:
    r"""Measure mIoU of predictions or labels, or mask AP of instances.

    \b
    VOCDIR                                               mIoU of the network in runs/deeplab
    --voc DIR --weights RUN | --predictions DIR          mIoU of a network or of its written predictions
    --voc DIR --split LIST --labels DIR                  mIoU of pseudo labels
    --voc DIR ... --versus DIR | RUN                     one of the lines above, compared with other predictions
    --images DIR --masks DIR --weights RUN               mIoU of a network without a VOC folder
    --masks DIR --predictions DIR | --labels DIR         mIoU of label maps without a VOC folder
    --images DIR --annotations FILE.json --weights RUN   mask AP of salient instances
    --voc DIR --weights RUN --foreground                 IoU of salient instances with all classes together
    """
    from pipelines.evaluate import evaluate

    return evaluate(config, events)


@stage_command(s4, PredictConfig)
def predict(config: PredictConfig, events: "Events") -> dict[str, Any]:
    r"""Predict many pictures: a DeepLab writes label maps, an S4Net writes instances.

    \b
    PICTURE|DIR ... --weights RUN --out DIR            single pictures, and every picture of a folder
    --voc DIR --split test --weights RUN --out DIR     the pictures of a VOC list
    """
    from pipelines.predict import predict

    return predict(config, events)


@stage_command(s4, ConvertConfig)
def convert(config: ConvertConfig, events: "Events") -> dict[str, Any]:
    r"""Write results or annotations in the file format that another program expects.

    \b
    SOURCE --to FORMAT --out PATH                                                    labels, predictions, annotations
    --to voc-server --predictions DIR --voc DIR --split test --out results.tar.gz    for the VOC test server
    --to csv --images DIR --keywords SOURCE --out keywords.csv                       keywords of every picture
    """
    from pipelines.convert import convert

    return convert(config, events)


@stage_command(s4, ExportConfig)
def export(config: ExportConfig, events: "Events") -> dict[str, Any]:
    r"""Write a trained network as one ONNX file that takes a picture, for programs without torch.

    \b
    RUN --out network.onnx        a DeepLab gives probabilities and a label map, an S4Net gives boxes, scores and masks
    builtin --out s4net.onnx      the salient-instance network that ships

    The picture is an array of 8-bit RGB values [1, 3, H, W] of any size. Needs the extra "export".
    """
    from pipelines.export import export

    return export(config, events)


@stage_command(s4, DemoConfig)
def demo(config: DemoConfig, events: "Events") -> dict[str, Any]:
    """Run the whole chain on generated scenes and write a report, without any data."""
    from pipelines.demo import demo

    return demo(config, events)


@stage_command(s4, AblateConfig)
def ablate(config: AblateConfig, events: "Events") -> dict[str, Any]:
    """Train and score the rows of a table in the S4Net paper, with several seeds."""
    from pipelines.ablate import ablate

    return ablate(config, events)


@stage_command(s4, ExplainConfig)
def explain(config: ExplainConfig, events: "Events") -> dict[str, Any]:
    """Draw the features around a box that its mask depends on, for binary, expanded and ternary masks."""
    from pipelines.explain import explain

    return explain(config, events)


@stage_command(s4, BenchConfig)
def bench(config: BenchConfig, events: "Events") -> dict[str, Any]:
    r"""Time S4Net beside other networks in one run. Compare the ratios, not the times.

    \b
    --what inference    whole network, beside Mask R-CNN, RetinaNet and YOLO11-seg
    --what branch       mask branch on whole maps and on windows
    --what proposals    5 to 100 boxes
    --what trunks       the trunks of the paper's Table 3
    --what training     one step, beside Mask R-CNN and RetinaNet
    --what end-to-end   picture file to label file, beside a simple loop
    """
    from pipelines.bench import bench

    return bench(config, events)


@stage_command(s4, RunConfig)
def run(config: RunConfig, events: "Events") -> dict[str, Any]:
    r"""Run the whole chain from one file, and skip every stage that has not changed since the last time.

    \b
    [train] [pseudo-label] [deeplab-train] [evaluate]
            a table for each stage, as the command of the stage takes it with --config FILE.toml
    [run]   the settings below

    A stage without a table is left out. If a table does not name weights, labels, classes or folders, the stage takes
    them from the stages before. Relative paths lead from the folder of the file. Without FILE.toml the command takes
    s4.toml.

    After a stop or a kill, start the same command again to go on. If settings or inputs of a stage have changed, the
    stage is done again in a new folder. The old folder is kept as NAME.old-1, NAME.old-2, ...
    """
    from pipelines.run import run

    return run(config, events)


@stage_command(s4, ReportConfig)
def report(config: ReportConfig, events: "Events") -> dict[str, Any]:
    r"""Show one result as a page, or compare several: settings, figures, curves, and the same pictures.

    \b
    RESULT             the page of a run, of labels, of predictions or of a JSON result, made once more
    RESULT RESULT ...  one page that compares them
    """
    from pipelines.report_command import report

    return report(config, events)


@stage_command(s4, InitConfig)
def init(config: InitConfig, events: "Events") -> dict[str, Any]:
    """Look at a folder, say what it holds, and write a settings file s4.toml for it.

    The command finds VOC folders, folders named after classes or ImageNet synsets, COCO files, CSV tables of keywords,
    tar shards and label maps. What it cannot place is counted. No picture is changed.
    """
    from pipelines.init import init

    return init(config, events)


@stage_command(s4, CheckConfig)
def check(config: CheckConfig, events: "Events") -> dict[str, Any]:
    """Look at data, labels, weights and settings files before a night of training, and list all faults.

    An error is something on which a stage would fail; then the exit code is 3. A warning is something to look at. Every
    picture and mask is decoded. A folder is searched for all that s4 init would find there, for what s4 has made, and
    for s4.toml. docs/rules.md explains each rule.
    """
    from pipelines.check import check

    return check(config, events)


@stage_command(s4, DoctorConfig)
def doctor(config: DoctorConfig, events: "Events") -> dict[str, Any]:
    """Look at this machine and installation, and say what to do about what is wrong.

    Versions, devices, threads, limits, memory, disk, weights that are here, and files that hide a package.
    """
    from pipelines.doctor import doctor

    return doctor(config, events)


@s4.group()
def config() -> None:
    """Look at the settings of the commands, and check a settings file."""


_COMMAND = click.Argument(["command"], type=click.Choice(list(STAGES)), metavar="COMMAND")
_FILE = click.Argument(["file"], type=AnyPath(path_type=Path), metavar="[FILE.toml]", default=Path(FOLDER_FILE))
_SHELL = click.Argument(["shell"], type=click.Choice(SHELLS))


@config.command(params=[_COMMAND, *general_options()])
def show(command: str, as_json: bool, **flags: Any) -> None:
    """Print the defaults of a command as a commented TOML table for --config."""
    with loudness_of(flags):
        if as_json:
            settings = settings_of(STAGES[command]).values()
            defaults = {setting.name: None if setting.default is MISSING else setting.default for setting in settings}
            print_result("config", {"stage": command, "defaults": defaults}, as_json=True)
        else:
            click.echo(to_toml(STAGES[command]), nl=False)


@config.command("check", params=[_FILE, *general_options()])
def config_check(file: Path, as_json: bool, **flags: Any) -> None:
    """List all faults of a settings file at once: unknown names, values, and paths that do not exist.

    A path that another table of the file makes need not exist. Without FILE.toml the command takes s4.toml.
    """
    from pipelines.config.whole_file import file_faults, settings_in

    with loudness_of(flags):
        # The exit code is that of the first fault: 2 for the file itself, 3 for what it names.
        raise_all(sorted(file_faults(file), key=lambda fault: fault.exit_code))
        print_result("config-check", {"file": str(file), "tables": settings_in(file)}, as_json)


@s4.command("completion", params=[_SHELL, *general_options()])
def completion(shell: str, as_json: bool, **flags: Any) -> None:
    r"""Print the script that lets a shell complete commands, flags and names of files.

    \b
    bash   eval "$(s4 completion bash)"                                  in ~/.bashrc
    zsh    eval "$(s4 completion zsh)"                                   in ~/.zshrc
    fish   s4 completion fish > ~/.config/fish/completions/s4.fish
    """
    with loudness_of(flags):
        script = script_for(shell, s4)
        if as_json:
            print_result("completion", {"shell": shell, "script": script}, as_json=True)
        else:
            click.echo(script)


completion.help = kept_lines(completion.help or "")


@s4.command("help", params=[click.Argument(["words"], metavar="[COMMAND]", nargs=-1)])
@click.pass_context
def help_command(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of s4 or of a command, as --help does."""
    shown = cast(click.Context, context.parent)
    for word in words:
        if not isinstance(shown.command, click.Group):
            raise click.UsageError(f"{shown.command_path} has no command {word}", shown)
        name, command, _ = shown.command.resolve_command(shown, [word])
        shown = click.Context(cast(click.Command, command), info_name=name, parent=shown)
    click.echo(shown.get_help())

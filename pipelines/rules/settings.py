"""Rules of flags, settings files and places to write to."""

from pipelines.rules.entry import Rule

SETTINGS = {
    "usage": Rule(
        "The command line is not one that s4 takes.",
        "s4 train: No such option: --imagez",
        "Look at `s4 COMMAND --help`. The message names the nearest flag where there is one.",
    ),
    "setting-missing": Rule(
        "A setting without a default was not given, and nothing usual stands for it.",
        "--images, --annotations: not given",
        "Give the flags that the message names, or write them into `s4.toml`.",
    ),
    "setting-type": Rule(
        "A value has the wrong type, such as a text for a number.",
        "s4.toml: [train] steps: 'many' given, a whole number expected",
        "Write a value of the type that the message names.",
    ),
    "setting-unknown": Rule(
        "A settings file has a key or a table that no command knows.",
        "s4.toml: [train]: unknown key stepz; did you mean steps?",
        "Correct the name. `s4 config show COMMAND` prints all keys.",
    ),
    "setting-value": Rule(
        "A value is outside of what the setting accepts, or two values exclude each other.",
        "--alpha: -1.0 given, a number above 0 expected",
        "Take a value in the range that the message names.",
    ),
    "toml-damaged": Rule(
        "A settings file is no TOML.",
        "s4.toml: Expected '=' after a key (at line 3, column 7)",
        "Mend the line. Texts need quotes, and paths are texts.",
    ),
    "toml-missing": Rule(
        "There is no settings file at this path.",
        "s4.toml: No such file or directory",
        "Check the path, or let `s4 init` write the file.",
    ),
    "file-exists": Rule(
        "`s4 init` would replace a file.",
        "s4.toml: exists already, a new file expected",
        "Pass `--force`, or name another place with `--out`.",
    ),
    "init-nothing": Rule(
        "`s4 init` found nothing in the folder that s4 can use.",
        "downloads: 3 files with the suffix .pdf",
        "Name a folder with pictures in folders of classes, a VOC folder, a table, shards or a COCO file.",
    ),
    "out-foreign": Rule(
        "The folder to write to holds files that s4 did not make there.",
        "--out holiday: holds files that s4 did not make here (a.jpg, b.jpg)",
        "Name a new or empty folder. s4 never writes among foreign files.",
    ),
    "out-inside": Rule(
        "The folder to write to lies among the pictures. The next run would take label maps for pictures.",
        "--out pictures/labels: lies among the pictures of pictures",
        "Name a folder elsewhere.",
    ),
    "out-unusable": Rule(
        "Nothing can be written at this path: it is a file, a home folder, or a link that leads nowhere.",
        "--out notes.txt: a file, a folder expected",
        "Name another folder.",
    ),
    "port-busy": Rule(
        "Another program listens at the port, or only the administrator may use it.",
        "--port 8000: Address already in use",
        "Leave `--port` out to take any free one.",
    ),
    "port-failed": Rule(
        "This machine gives no port, not even to programs on it.",
        "127.0.0.1: Operation not permitted",
        "Allow connections to this machine itself, such as in the settings of a container.",
    ),
    "export-roi": Rule(
        "Only a network with RoIMasking can be written as an ONNX file.",
        "runs/pooled: a network with --roi roialign",
        "Train one with `--roi ternary`.",
    ),
    "export-scales": Rule(
        "A network that reads its pictures at several scales cannot be written as an ONNX file.",
        "runs/published: a network that reads its pictures at several scales",
        "Train one with another `--recipe`.",
    ),
    "folder-busy": Rule(
        "Another s4 is at work in the folder.",
        "labels: s4 pseudo-label (process 4711) is at work here",
        "Wait for it, or name another folder. If the process is gone on another machine, remove the lock.",
    ),
    "extra-missing": Rule(
        "A package of an extra is not installed.",
        "--engine ray: ray not installed",
        "Install the extra that the message names, such as `pip install 's4-segmentation[ray]'`.",
    ),
    "devices-given": Rule(
        "`--devices` was given where the processes are set already: under torchrun, or with one numbered device.",
        "--device cuda:1 and --devices 2: one device given for several processes",
        "Leave one of them out.",
    ),
    "batch-uneven": Rule(
        "The pictures of a step cannot be divided evenly among the processes.",
        "--devices 3: a batch of 4 pictures given",
        "Give a `--batch-size` that is a multiple of `--devices`.",
    ),
    "one-process": Rule(
        "`s4 ablate` was started under torchrun.",
        "WORLD_SIZE: 2 processes, one expected",
        "Start it without torchrun.",
    ),
    "chain-processes": Rule(
        "`s4 run` was started under torchrun.",
        "s4 run: started in 2 processes, one expected",
        "Train with `s4 train` under torchrun, and name the run as weights of the chain.",
    ),
    "chain-empty": Rule(
        "The file of `s4 run` has no table of a stage.",
        "s4.toml: no table of a stage",
        "Write `[pseudo-label]` and the like, or let `s4 init` write the file.",
    ),
    "chain-place": Rule(
        "Two stages of a chain write to one folder, or a stage writes among the pictures.",
        "s4.toml: train and deeplab-train both write to runs/a",
        "Give each stage a folder of its own.",
    ),
    "chain-rounds": Rule(
        "Rounds were asked for, and a stage for them is missing, or its table fixes what each round decides.",
        "--rounds 2: no table [deeplab-train] in s4.toml",
        "Add the table, or leave the named setting out.",
    ),
    "chain-setting": Rule(
        "A table gives a setting that `s4 run` sees to itself.",
        "s4.toml: [train] resume given",
        "Leave it out.",
    ),
    "chain-single": Rule(
        "The first round was to take pictures with a single keyword, and no labelled picture has one.",
        "labels: no labelled picture has a single keyword",
        "Leave `--first-round` at `all`.",
    ),
    "run-foreign": Rule(
        "The folder of a stage holds a run that this chain has not made.",
        "out/s4net: holds a run that this chain has not made",
        "Rename it, or leave the table out and name the run as weights.",
    ),
    "state-damaged": Rule(
        "The state of a chain was written by another version, or is damaged.",
        "out/state.json: not written by this version of s4 run",
        "Restore the file, or rename the folder of the chain.",
    ),
    "run-exists": Rule(
        "The folder of a new training holds a run already.",
        "runs/s4net: holds a run already (stopped, step 1200)",
        "Add `--resume` to go on with it, or name another `--run`.",
    ),
    "run-missing": Rule(
        "There is no run to resume.",
        "runs/s4net: no config.json, a run to resume expected",
        "Leave `--resume` out.",
    ),
    "resume-differs": Rule(
        "A flag or the data contradict the run that is resumed. Labels that were corrected since are other data.",
        "--lr: 0.1 given, 0.01 expected as in runs/s4net/config.json",
        "Leave the flag out, bring the data back, or start a new run.",
    ),
    "start-differs": Rule(
        "Flags ask for another network than that of `--start-from`.",
        "--start-from builtin: another network asked for (--trunk resnet50 given)",
        "Leave these flags out, or train without `--start-from`.",
    ),
    "demo-differs": Rule(
        "The folder holds a demo with other settings.",
        "demo: holds a demo with seed 0, seed 1 asked for",
        "Name another `--out`.",
    ),
    "study-differs": Rule(
        "The folder holds a study of `s4 ablate` with other settings or other data.",
        "--steps: 500 given, 1000 expected as in ablation/config.json",
        "Give the same settings, or name another `--out`.",
    ),
    "trial-damaged": Rule(
        "A file of a trial was altered, or is of other pictures.",
        "ablation/ternary-0/result.json: is of other pictures or was altered",
        "Remove the folder of the trial. The same command makes it again.",
    ),
    "evaluate-mode": Rule(
        "It is not clear what to score: none of the ways was named, or several.",
        "nothing to score: expected exactly one of: ...",
        "Give the flags of one line of `s4 evaluate --help`.",
    ),
    "evaluate-option": Rule(
        "A flag has no effect on what is scored.",
        "--flip: given without a network to score",
        "Leave it out.",
    ),
    "predict-option": Rule(
        "A flag does not belong to the kind of network.",
        "--crf: given with runs/s4net, a DeepLab expected",
        "Leave it out, or name another network.",
    ),
    "predictions-differ": Rule(
        "The folder holds predictions of other pictures or with other settings.",
        "--out predictions: holds the prediction of another cat/1",
        "Name another `--out`, or remove the folder.",
    ),
    "bench-option": Rule(
        "A flag does not belong to what is timed.",
        "--compile: given with --what proposals",
        "Leave it out.",
    ),
    "cues-differ": Rule(
        "The folder of `--cues-of` was made with other settings.",
        "--cues-of labels-a: made with other settings",
        "Leave `--cues-of` out, or make that folder anew.",
    ),
    "labels-differ": Rule(
        "The label folder was begun with other settings or other pictures.",
        "labels: made with other settings",
        "Give the same settings, or name another `--out`.",
    ),
    "explain-compare": Rule(
        "The runs to compare were trained with the same kind of mask.",
        "--compare: runs/b was trained with ternary masks like runs/a",
        "Name a run that was trained with another `--roi`.",
    ),
    "explain-roi": Rule(
        "The run was trained with RoIAlign or RoIPool, which `s4 explain` cannot draw.",
        "runs/a: trained with RoIAlign or RoIPool",
        "Train with binary, expanded or ternary masks.",
    ),
    "flip-unusable": Rule(
        "The mirror image of this network has other anchors.",
        "--flip: runs/a is of preset paper at 320 pixels",
        "Leave `--flip` out.",
    ),
    "recognise-unusable": Rule(
        "ImageNet's classifier cannot be built from these weights.",
        "--recognise imagenet: no classifier in the weights",
        "Take `--trunk-weights imagenet`, or `--recognise off`.",
    ),
    "trunk-unusable": Rule(
        "There is no trunk of this name, or its weights do not fit.",
        "--trunk resnet5: no such network",
        "Take a name that the message lists, or `timm/<name>`.",
    ),
    "split-unknown": Rule(
        "The generated scenes have no such split.",
        "best: unknown split",
        "Take one of the splits that the message lists.",
    ),
}

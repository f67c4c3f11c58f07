"""Rules of weights, devices, disks and processes."""

from pipelines.rules.entry import Rule

MACHINE = {
    "weights-missing": Rule(
        "There are no weights at this path, or the run has no checkpoint yet.",
        "--weights runs/s4net: no checkpoints/best.pt or last.pt in this folder",
        "Check the path, or train the network first.",
    ),
    "report-failed": Rule(
        "A page or a sheet of pictures could not be made. The result itself is whole.",
        "labels/report.html: no report was written (No space left on device)",
        "Mend what the message tells, and make the page again with `s4 report`.",
    ),
    "weights-damaged": Rule(
        "A file of weights is damaged, or its tensors are not those of its network.",
        "best.pt: cut off, a checkpoint of s4 expected",
        "Copy it again, or take another.",
    ),
    "weights-unsafe": Rule(
        "A file holds more than tensors and plain data. s4 does not run what it asks for.",
        "best.pt: is no checkpoint, or holds more than tensors and plain data",
        "Take a checkpoint that s4 wrote.",
    ),
    "weights-kind": Rule(
        "The weights are those of another network.",
        "runs/deeplab: holds deeplab, a checkpoint of kind s4net expected",
        "Name the run of the right training.",
    ),
    "weights-empty": Rule(
        "A file of trunk weights holds no tensors.",
        "resnet.pth: holds no tensors",
        "Take another file.",
    ),
    "weights-download": Rule(
        "The weights of a trunk are not here, and cannot be downloaded.",
        "--trunk-weights imagenet: the weights of vgg16.tv_in1k could not be downloaded",
        "Connect, give a file, or take `--trunk efficientnet_lite0`, whose weights are installed.",
    ),
    "device-missing": Rule(
        "The device does not exist.",
        "--device cuda:3: 1 CUDA devices found",
        "Take `--device cpu`, or a number that is there.",
    ),
    "disk-full": Rule(
        "The disk has no room.",
        "runs/s4net/checkpoints/last.pt: No space left on device",
        "Make room, or name a folder on another disk. Then start the same command again.",
    ),
    "no-permission": Rule(
        "The folder may not be written to.",
        "labels/a.png: Permission denied",
        "Change its rights, or name another folder.",
    ),
    "write-failed": Rule(
        "A file cannot be written.",
        "labels/a.png: Input/output error",
        "Check the path and the disk.",
    ),
    "read-failed": Rule(
        "A file cannot be read.",
        "train.json: Input/output error",
        "Check its rights and its disk.",
    ),
    "machine": Rule(
        "The memory is used up, or a library met a file without rights.",
        "memory: used up, more expected",
        "Lower `--batch-size`, the picture size or `--workers`.",
    ),
    "current-folder": Rule(
        "The folder in which the command was started is not there any more, or may not be read.",
        "the current folder: No such file or directory",
        "Change into another folder.",
    ),
    "output-unread": Rule(
        "What the command prints goes into a pipe whose reader has ended. The command stops.",
        "stdout: nobody reads it any more",
        "Let the program behind the pipe read everything, or write to a file.",
    ),
    "not-finite": Rule(
        "A loss or gradient is not finite. No further step can repair that.",
        "runs/s4net: loss or gradient is not finite at step 120",
        "Lower `--lr`, or check the annotations of the pictures that the message names.",
    ),
    "stopped": Rule(
        "A signal ended the work. The state is saved.",
        "runs/s4net: stopped at step 120",
        "Start the same command again, with `--resume` for a training.",
    ),
    "worker-died": Rule(
        "A process of the command was killed, often because memory ran out.",
        "--workers 4: a process was killed",
        "Start the same command again with fewer `--workers` or a smaller `--batch-size`.",
    ),
    "worker-start": Rule(
        "There is no room for the processes.",
        "--workers: Cannot allocate memory",
        "Take fewer, such as `--workers 1`.",
    ),
    "ray-unreachable": Rule(
        "No Ray cluster answers at the address.",
        "--ray-address auto: could not connect",
        "Start one with `ray start --head`, or join it.",
    ),
    "ray-nodes": Rule(
        "A machine of the Ray cluster cannot do the same work: its versions differ, or it lacks the files.",
        "--engine ray: another machine of the cluster cannot read the pictures",
        "Install the same versions there, and put data and output on a disk that all machines share.",
    ),
    "compile-failed": Rule(
        "`torch.compile` failed, mostly for want of a C++ compiler.",
        "--compile: no working C++ compiler found",
        "Install a compiler, or leave the flag out.",
    ),
    "demo-missing": Rule(
        "scikit-image is not installed. The demo takes pictures from it.",
        "scikit-image: not installed",
        "`pip install 's4-segmentation[demo]'`",
    ),
}

"""Rules of `s4 check` and `s4 doctor` alone. What they read breaks the other rules too."""

from pipelines.rules.entry import Rule

CHECK = {
    "check-nothing": Rule(
        "The path holds nothing that `s4 check` knows.",
        "notes.pdf: nothing that s4 check knows",
        "Name a folder, a settings file, weights, a COCO file, a table or a tar.",
    ),
    "inputs-faulty": Rule(
        "`s4 check` has found errors.",
        "check: 3 errors in the inputs, none expected",
        "Mend what the lines above name.",
    ),
    "files-ignored": Rule(
        "Files of a data set are read by nothing.",
        "pictures: 3 files with the suffix .heic, which nothing reads",
        "Convert or move them if they matter.",
    ),
    "pictures-unplaced": Rule(
        "Nothing says what some pictures show. They are left out.",
        "pictures without a keyword in pictures/new: 12",
        "Put them into folders of classes, or name them in a table.",
    ),
    "picture-duplicate": Rule(
        "Pictures have the same pixels. They count twice in a training.",
        "pictures: pictures with the same pixels: 1 (cat/a.jpg = cat/b.png)",
        "Remove the copies.",
    ),
    "picture-near-duplicate": Rule(
        "Pictures are nearly the same: at most 3 of 64 bits of a difference hash differ, and 4 of 255 grey values.",
        "pictures: pictures that are nearly the same: 1 (cat/a.jpg = cat/a-small.jpg)",
        "Look at them, and remove copies.",
    ),
    "split-names": Rule(
        "A picture is on the list of two splits. Figures on the second one will be too good.",
        "VOC: pictures in train and in val: 2 (a, b)",
        "Take it off one list.",
    ),
    "split-pictures": Rule(
        "A picture of one split is in another one under another name, the same or nearly.",
        "data: pictures of one split that another split shows too: 1 (train/a.jpg = val/b.jpg)",
        "Take it out of one split.",
    ),
    "class-absent": Rule(
        "A class of the list has no picture.",
        "pictures: classes without a picture: 1 (sheep)",
        "Add pictures, or take the class off the list.",
    ),
    "class-rare": Rule(
        "A class has under 5 % of the pictures of the largest class, or fewer than 10.",
        "pictures: classes with less than 5% of the 400 pictures of the largest: 1 (sheep 12)",
        "Add pictures of it.",
    ),
    "mask-empty": Rule(
        "A label map shows no class.",
        "VOC: label maps that show no class: 1 (a)",
        "Look at it, or take its picture off the list.",
    ),
    "mask-colours": Rule(
        "A label map is stored in colours. s4 reads it by VOC's palette or `labelmap.txt`, which may not be meant.",
        "VOC: label maps in colours: 30 (a, b, c, d, e, ...)",
        "Save PNG files of class indices, and check one of them.",
    ),
    "coco-mask-empty": Rule(
        "The mask of an annotation has no pixel. A training leaves it out.",
        "train.json: annotations whose mask has no pixel: 2 (7, 9)",
        "Draw it anew, or remove it.",
    ),
    "coco-category-unknown": Rule(
        "The category of an annotation is not in the file.",
        "train.json: annotations whose category_id is in no list of the file: 1 (7)",
        "Add the category, or correct the annotation.",
    ),
    "coco-no-instance": Rule(
        "A picture has no annotation. A training learns that nothing in it is an object.",
        "train.json: pictures without an annotation: 1 (a.jpg)",
        "Annotate it, or remove it if objects show in it.",
    ),
    "run-unfinished": Rule(
        "The training of a run is not finished.",
        "runs/s4net: the training is not finished (stopped)",
        "The same command with `--resume` goes on.",
    ),
    "disk-low": Rule(
        "The disk has little room.",
        "disk: 1.2 GB free in the current folder",
        "Make room, or work on another disk.",
    ),
}
DOCTOR = {
    "python-version": Rule(
        "s4 is not tested with this Python.",
        "Python: 3.9, 3.11 to 3.13 expected",
        "Make an environment with such a Python.",
    ),
    "package-missing": Rule(
        "A package that s4 needs is not installed.",
        "packages: timm not installed",
        "Install s4 anew: `pip install s4-segmentation`.",
    ),
    "package-hidden": Rule(
        "A file or folder here has the name of a package. Python scripts that start here import it instead.",
        "types.py: has the name of the package types",
        "Rename it, or start Python elsewhere.",
    ),
    "locale-not-utf8": Rule(
        "Texts or names of files are not in UTF-8. Names with accents may fail.",
        "locale: texts in ISO-8859-1",
        "`export LC_ALL=C.UTF-8`, or `PYTHONUTF8=1`.",
    ),
    "threads-many": Rule(
        "There are more threads than cores. Threads then wait for each other, and all is many times slower.",
        "processor: 64 threads for 2 cores",
        "Set `OMP_NUM_THREADS` to the number of cores.",
    ),
    "threads-slow": Rule(
        "Several threads compute no faster than one: other programs keep the cores busy.",
        "processor: 2 threads compute 2.5 gigaflops, one thread 12.5",
        "`export OMP_NUM_THREADS=1`, or wait for the other programs.",
    ),
    "machine-busy": Rule(
        "Other programs compute on this machine.",
        "processor: 9 programs at work on 2 cores in the last minute",
        "Wait for them, or count on longer times.",
    ),
    "memory-low": Rule(
        "Less than 4 GB of memory are to be had.",
        "memory: 2.1 GB to be had",
        "Close other programs, or take a smaller `--batch-size` and `--image-size`.",
    ),
    "memory-limited": Rule(
        "The shell limits the memory of a process.",
        "shell: 2 GB of memory for a process at most",
        "`ulimit -v unlimited`",
    ),
    "file-size-limited": Rule(
        "The shell limits the size of a file. Checkpoints may not fit.",
        "shell: files of 0.1 GB at most",
        "`ulimit -f unlimited`",
    ),
    "open-files-few": Rule(
        "The shell allows few open files.",
        "shell: 256 open files at most",
        "`ulimit -n 1024`",
    ),
    "gpu-unused": Rule(
        "An NVIDIA driver is here, but torch sees no GPU.",
        "device: an NVIDIA driver is here, but torch sees no GPU",
        "Install torch with CUDA.",
    ),
    "weights-absent": Rule(
        "The installation lacks the network that ships.",
        "weights: the network that ships is not here",
        "Install s4 from its package, or train a network with `s4 train`.",
    ),
    "hub-silent": Rule(
        "The weights of some trunks are not here, and the hub does not answer.",
        "weights: vgg16 not here, and the hub does not answer",
        "Connect, give a file with `--trunk-weights`, or take `efficientnet_lite0`.",
    ),
}

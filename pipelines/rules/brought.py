"""Rules of addresses, of files of other programs, and of reports."""

from pipelines.rules.entry import Rule

BROUGHT = {
    "address-cached": Rule(
        "An address leads through a cache. Writing there would reach no store.",
        "--out simplecache::s3://bucket/labels: leads through a cache",
        "Leave out the first part of the address.",
    ),
    "address-driver": Rule(
        "The package for the protocol of an address is not installed.",
        "s3://bucket/pictures: a package for this protocol is not installed",
        "Install the package that the message names with pip.",
    ),
    "address-failed": Rule(
        "A store does not answer, or the place does not exist.",
        "s3://bucket/pictures: no answer",
        "Check the address and the network, and start the same command again.",
    ),
    "address-form": Rule(
        "An address is not whole.",
        "s3://: cannot be opened",
        "Write protocol, bucket and path.",
    ),
    "address-mixed": Rule(
        "Pictures lie in different kinds of places.",
        "pictures and s3://bucket/pictures: lie in different kinds of places",
        "Name them in commands of their own.",
    ),
    "address-protocol": Rule(
        "fsspec knows no such protocol.",
        "s4://bucket/pictures: no file system has this protocol",
        "Check the first part of the address.",
    ),
    "address-unsupported": Rule(
        "This setting takes a path on this machine alone.",
        "--run: the address s3://bucket/run given",
        "Copy the files to this machine.",
    ),
    "label-studio-structure": Rule(
        "A file is no JSON export of Label Studio.",
        "export.json: no list of tasks with data",
        "Export it anew, as JSON.",
    ),
    "labelme-structure": Rule(
        "A JSON file is not as labelme writes it.",
        "a.json: no list of shapes",
        "Correct or remove it.",
    ),
    "pickle-damaged": Rule(
        "A file is no pickle of the released S4Net, or is damaged.",
        "train.pkl: no picture in it",
        "Restore the file.",
    ),
    "pickle-unsafe": Rule(
        "A pickle asks for code. s4 does not run it.",
        "train.pkl: it asks for os.system",
        "Do not open files from where you do not trust.",
    ),
    "records-damaged": Rule(
        "The records of a folder that s4 made are damaged.",
        "predictions/records.jsonl: line 3: an instance without a mask",
        "Make the folder anew.",
    ),
    "records-missing": Rule(
        "A folder that s4 made has no record of a picture.",
        "labels: no record of a picture",
        "Make the folder anew.",
    ),
    "score-value": Rule(
        "The score of an instance is no number from 0 to 1.",
        "results.json: annotations[0]: score is 7",
        "Correct it.",
    ),
    "source-empty": Rule(
        "The source of `s4 convert` holds no picture.",
        "labels: no picture in it",
        "Check the path.",
    ),
    "source-form": Rule(
        "The source of `s4 convert` is in no form that s4 knows, or not in the one that was named.",
        "data: coco needs a file, the other found",
        "Correct the source or `--from`.",
    ),
    "report-damaged": Rule(
        "The files of a result are not as s4 writes them.",
        "runs/a: its files are not as s4 writes them",
        "Restore them.",
    ),
    "report-page": Rule(
        "A page is no report of s4, or one without figures.",
        "page.html: no report of s4 with its figures",
        "Name the result that the page was made of.",
    ),
    "report-unknown": Rule(
        "The path holds no result of s4.",
        "pictures: holds no result of s4",
        "Name a run, labels, predictions, a chain or a report.",
    ),
    "video-damaged": Rule(
        "A video does not decode to its end: it is empty, cut off or broken, or it has no pictures.",
        "clip.mp4: video is damaged (it ends after 1.2 of 8.0 seconds)",
        "Convert, restore or remove it. The other videos and pictures are predicted.",
    ),
}

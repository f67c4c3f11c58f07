"""Rules of pictures, folders, shards and keywords."""

from pipelines.rules.entry import Rule

PICTURES = {
    "image-damaged": Rule(
        "A picture does not decode: it is empty, cut off or broken.",
        "cat/1.jpg: picture is damaged (image file is truncated)",
        "Restore or remove it.",
    ),
    "image-format": Rule(
        "A file with a picture's name holds no picture that s4 reads, or one with more than 16 bits.",
        "cat/1.jpg: content is no picture that can be read",
        "Convert it to JPEG or PNG, or remove it.",
    ),
    "image-missing": Rule(
        "A picture that a list, a table or a flag names is not there.",
        "cat/1.jpg: no such picture",
        "Check the path, or complete the data set.",
    ),
    "image-not-file": Rule(
        "What has the name of a picture is no regular file.",
        "cat/1.jpg: is a FIFO, expected a file",
        "Remove it.",
    ),
    "image-too-large": Rule(
        "A picture has more pixels than the limit.",
        "cat/1.jpg: picture is 21000x21000 (441 MP), limit 50 MP",
        "Scale it down, or remove it.",
    ),
    "image-unreadable": Rule(
        "A picture may not be read.",
        "cat/1.jpg: Permission denied",
        "Change its rights.",
    ),
    "image-array": Rule(
        "An array that was passed from Python is no RGB picture.",
        "array: float32 of shape (3, 4, 4) found",
        "Pass uint8 [H, W, 3].",
    ),
    "image-id-twice": Rule(
        "Two pictures have the same path without their suffix. Their results would overwrite each other.",
        "pictures: 1 of the names stand for several pictures (a.gif and a.webp)",
        "Rename or remove one of each.",
    ),
    "images-overlap": Rule(
        "Two folders of `--images` share pictures.",
        "--images: pictures in a/b are below a and below a/b",
        "Name one of both.",
    ),
    "name-too-long": Rule(
        "The name of an output file would be longer than the file system takes, or in more than 256 folders.",
        "aaaa...aaaa.png: the name has 300 bytes",
        "Give the picture a shorter name.",
    ),
    "not-regular": Rule(
        "A path leads to a device, a FIFO or a socket.",
        "/dev/zero: is a device, expected a file",
        "Name a regular file.",
    ),
    "file-missing": Rule(
        "There is no file at this path.",
        "--classes names.txt: no such file",
        "Check the path. The message names the nearest name beside it.",
    ),
    "folder-missing": Rule(
        "There is no folder at this path.",
        "--images pictires: no such folder",
        "Check the path. The message names the nearest name beside it.",
    ),
    "folder-empty": Rule(
        "There is no picture in the folder.",
        "pictures: no picture in it",
        "Check the path, and the suffixes that the message lists.",
    ),
    "path-outside": Rule(
        "A list names a picture outside of its folder.",
        "train.txt: line 3 names '../a'",
        "Correct the line.",
    ),
    "text-damaged": Rule(
        "A text file is not UTF-8.",
        "classes.txt: byte 12 is not UTF-8",
        "Save it as UTF-8.",
    ),
    "shard-compressed": Rule(
        "A tar is compressed. s4 reads pictures in place, which needs a plain tar.",
        "a.tar.gz: is compressed",
        "Unpack it, or write it anew without compression.",
    ),
    "shard-damaged": Rule(
        "A tar is damaged or cut off.",
        "a.tar: tar is damaged or cut off",
        "Copy it again, or write it anew.",
    ),
    "shard-link": Rule(
        "A member of a tar is a link, or no plain file.",
        "a.tar:cat/1.jpg: is a link or no plain file",
        "Write the shard anew with `tar --dereference --hard-dereference`.",
    ),
    "shard-path": Rule(
        "A member of a tar has a name that leads out of the tar.",
        "a.tar:../1.jpg: name leads out of the tar",
        "Write the shard anew with relative names.",
    ),
    "shard-unreadable": Rule(
        "A tar is gone, or may not be read.",
        "a.tar: Permission denied",
        "Check the path and its rights.",
    ),
    "voc-layout": Rule(
        "The folder is not in VOC's layout.",
        "--voc pictures: not a VOC folder",
        "Name the folder that holds JPEGImages and ImageSets.",
    ),
    "split-missing": Rule(
        "The VOC folder has no such list.",
        "ImageSets/Segmentation/tain.txt: no such split",
        "Take one of the lists that the message names.",
    ),
    "list-empty": Rule(
        "A list names no picture.",
        "train.txt: no image id in it",
        "Write one id a line.",
    ),
    "list-twice": Rule(
        "A list names a picture twice.",
        "train.txt: line 9 names 'a' as line 2 does",
        "Remove one of the lines.",
    ),
    "class-unknown": Rule(
        "A keyword is none of the classes.",
        "keywords.csv: a: class 'catt': unknown; did you mean 'cat'?",
        "Correct the word, or pass another list as `--classes`.",
    ),
    "class-list-differs": Rule(
        "A network or a setting is for other classes than the labels.",
        "runs/deeplab: trained for cat, dog; apple, pear expected",
        "Take a network of these classes, or leave `--classes` out.",
    ),
    "classes-background": Rule(
        "The class list names the background.",
        "classes.txt: 'background' is listed",
        "Remove the line. Background is always class 0.",
    ),
    "classes-count": Rule(
        "There are no classes, or more than 254.",
        "classes.txt: 0 classes, expected 1 to 254",
        "Write one name a line. With `auto`, list the classes that you want in a file.",
    ),
    "classes-numbers": Rule(
        "`--classes auto` was given, and the keywords or masks have numbers without names.",
        "cls_labels.npy: numbers the classes and does not name them",
        "Pass the list that they count as `--classes`.",
    ),
    "classes-twice": Rule(
        "The class list names a class twice.",
        "classes.txt: class 'cat' is there twice",
        "Remove one of the lines.",
    ),
    "keywords-file": Rule(
        "A table or file of keywords has a line that cannot be read.",
        "keywords.csv: line 4: no keyword",
        "Correct the line. `s4 check` lists all of them.",
    ),
    "keywords-none": Rule(
        "No keyword was found.",
        "pictures: no keywords found",
        "Name folders after classes, pass a table as `--keywords`, or the class names as `--classes`.",
    ),
    "keywords-picture-missing": Rule(
        "A table names a picture that is not in the folder.",
        "keywords.csv: picture a is not in pictures",
        "Complete the data set, or correct the table.",
    ),
    "keywords-unplaced": Rule(
        "More than a tenth of the pictures lie in folders that name no class.",
        "pictures: 17 of 18 pictures are in folders that name no class of the list",
        "Rename the folders, pass `--classes`, or leave the pictures out with `--allow-unplaced`.",
    ),
    "npy-damaged": Rule(
        "A `.npy` file holds no table of keywords.",
        "cls_labels.npy: holds a list, expected a dict",
        "Restore the file, or use a CSV table.",
    ),
    "npy-unsafe": Rule(
        "A `.npy` file asks for code. s4 does not run it.",
        "cls_labels.npy: it asks for os.system",
        "Do not open the file with other programs either, unless you trust where it comes from.",
    ),
    "explain-picture": Rule(
        "`--ids` names a picture that is not in the annotations.",
        "--ids: 'catt' found, a picture of test.json expected",
        "Ids are file names without suffix.",
    ),
}

"""Rules of annotations, masks, label maps and predictions."""

from pipelines.rules.entry import Rule

MASKS = {
    "json-damaged": Rule(
        "A file is no JSON.",
        "train.json: expecting ',' delimiter in line 3, column 7",
        "Restore or rewrite the file.",
    ),
    "journal-damaged": Rule(
        "A file of records has a damaged line that is not the last one.",
        "labels/records.jsonl: line 7 is damaged",
        "Restore the file, or make the folder anew.",
    ),
    "coco-structure": Rule(
        "A JSON file is not in COCO's form.",
        "train.json: no list of annotations",
        "Write `images` and `annotations` as COCO does.",
    ),
    "coco-empty": Rule(
        "A COCO file lists no picture, or no instance where some are needed.",
        "train.json: no picture listed",
        "Check the file.",
    ),
    "coco-image-twice": Rule(
        "A COCO file lists a picture or an id twice.",
        "train.json: images[4]: id 3 is there twice",
        "Remove one of the entries.",
    ),
    "coco-mask": Rule(
        "A mask does not fit its picture, or a score is no score.",
        "train.json: a.jpg: annotations[0]: mask of 10x10",
        "Use the pictures that were annotated.",
    ),
    "coco-picture-missing": Rule(
        "Pictures of a COCO file are not in the folder.",
        "train.json: 3 of 10 pictures are not in the folder (a.jpg, b.jpg, c.jpg)",
        "Check `--images`.",
    ),
    "coco-picture-size": Rule(
        "A picture has another size than the COCO file says, and another shape.",
        "train.json: a.jpg is listed as 640x480 and is 500x500",
        "Use the pictures that were annotated.",
    ),
    "coco-unknown-image": Rule(
        "Annotations name a picture that the file does not list.",
        "train.json: the image_id of all 5 annotations is that of no picture",
        "Correct the ids. Where only some are wrong, they are left out.",
    ),
    "explain-no-instance": Rule(
        "The picture has no instance to explain.",
        "a.jpg: no instance in test.json",
        "Name another picture.",
    ),
    "instances-form": Rule(
        "`--instances` leads to nothing that s4 reads masks from.",
        "masks.txt: is no JSON",
        "Name a COCO file, a list of results, or a folder of masks.",
    ),
    "mask-mode": Rule(
        "A picture of masks is none: it is a photograph, or mixes two ways of marking.",
        "masks/a.png: pixel (3, 4) has colour (12, 200, 7)",
        "Save black and white, grey values, or numbers of instances as PNG.",
    ),
    "mask-size": Rule(
        "A mask has another size than its picture.",
        "masks/a.png: a: mask is 10x10, picture is 20x20",
        "Make the masks anew for these pictures.",
    ),
    "masks-missing": Rule(
        "The source of masks says nothing about a picture.",
        "masks: nothing about cat/1",
        "Add an entry, which may have no mask.",
    ),
    "masks-none": Rule(
        "The source of masks knows none of the pictures.",
        "masks: masks of none of the 12 pictures",
        "Check `--instances`: names have to be those of the pictures.",
    ),
    "results-boxes": Rule(
        "A list of results has boxes and no masks.",
        "results.json: none of the 8 results has a segmentation",
        "Write the masks.",
    ),
    "results-numbers": Rule(
        "A list of results numbers the pictures, and nothing tells which they are.",
        "results.json: numbers the pictures (1, 2, 3)",
        "Write the names as image_id, or COCO JSON that lists the pictures.",
    ),
    "results-structure": Rule(
        "A list of results has an entry without image_id.",
        "results.json: entry 0 has no image_id",
        "Write a list of {image_id, segmentation, score}, or COCO JSON.",
    ),
    "sam-structure": Rule(
        "A JSON file of the folder is not what Segment Anything writes.",
        "masks/a.json: no list of masks with a segmentation",
        "Name a COCO file itself as `--instances`, not its folder.",
    ),
    "yolo-names": Rule(
        "A file of YOLO has no names of classes, or too large a number.",
        "data.yaml: no names of classes in it",
        "Write `names: [...]`.",
    ),
    "labelmap-damaged": Rule(
        "A line of `labelmap.txt` has no colour, or there are too many labels.",
        "labelmap.txt: line 3 is 'cat', expected label:red,green,blue:parts:actions",
        "Correct the line.",
    ),
    "label-mode": Rule(
        "A label map is a photograph, or has colours of no class.",
        "SegmentationClass/a.png: pixel (3, 4) has colour (12, 200, 7)",
        "Save class indices as PNG, without anti-aliasing.",
    ),
    "label-size": Rule(
        "A label map has another size than its picture.",
        "SegmentationClass/a.png: label map is 50x40, expected 500x400",
        "Make both the same size.",
    ),
    "label-value": Rule(
        "A label map holds an index of no class.",
        "SegmentationClass/a.png: holds the values 77",
        "Check `--classes` and the file.",
    ),
    "label-palette": Rule(
        "A label map has a palette of its own, whose indices mean other classes.",
        "a.png: index 1 has the colour of class 15",
        "Save it with VOC's own palette.",
    ),
    "label-missing": Rule(
        "A picture has no label map.",
        "labels: 2008_000008 has no label map",
        "Make the labels anew, or take the picture off the list.",
    ),
    "labels-classes": Rule(
        "The labels are of other classes.",
        "labels: labels are of cat, dog, expected apple, pear",
        "Pass the list that they were made with as `--classes`.",
    ),
    "labels-empty": Rule(
        "Every pixel of the labels is unknown or unsure.",
        "labels: every pixel of 30 label maps is 255",
        "Lower `--least-confidence`, or make the labels anew.",
    ),
    "labels-kind": Rule(
        "Pseudo labels were named as true masks, or the other way round.",
        "labels: manifest.json says pseudo labels, expected ground truth",
        "Leave out `--labels-are ground-truth`, or name another folder.",
    ),
    "labels-unmarked": Rule(
        "A label folder has no manifest: it is not finished, or holds masks drawn by people.",
        "masks: no manifest.json",
        "Start the same `s4 pseudo-label` again. For true masks pass `--labels-are ground-truth`.",
    ),
    "confidence-missing": Rule(
        "Confidence maps were asked for, and some are not there.",
        "labels/confidence/a.png: no such file",
        "Leave out `--least-confidence` and `--loss soft`, or make the labels anew.",
    ),
    "cues-damaged": Rule(
        "The kept features of a picture are missing, damaged or of another size.",
        "labels/cues/a.npz: missing, damaged or of another size",
        "Remove the file, and start the same command again.",
    ),
    "truth-binary": Rule(
        "The true label maps show background and unknown pixels alone. Probably they are black and white masks.",
        "masks: none of the 30 label maps shows a class",
        "Save class indices, or pass the class list that they count.",
    ),
    "predictions-binary": Rule(
        "The predictions show no class. Probably they are black and white masks.",
        "predictions: none of the 30 label maps shows a class",
        "Save class indices, or pass the class list that they count.",
    ),
    "truth-missing": Rule(
        "Pictures of a list have no true label map.",
        "val: 3 of 30 true label maps are missing",
        "Evaluate on a list that has them, or add them.",
    ),
    "predictions-missing": Rule(
        "Pictures of a list have no prediction.",
        "val: 3 of 30 predictions are missing",
        "Make them, or leave them out with `--allow-missing`.",
    ),
    "versus-missing": Rule(
        "There is nothing to compare with.",
        "other: not found, label maps or a network to compare with expected",
        "Check `--versus`.",
    ),
    "left-out": Rule(
        "A reader leaves something out and goes on.",
        "train.json: polygons left out, because they have fewer than 3 corners: 2",
        "Correct the files if what is left out matters.",
    ),
    "only-background": Rule(
        "A network or the labels find no class but background.",
        "runs/deeplab: finds no class but background",
        "Look at what `s4 pseudo-label` says of the labels. Then train with more `--steps`.",
    ),
    "class-not-found": Rule(
        "A network or the labels find hardly a pixel of a class.",
        "runs/deeplab: finds hardly a pixel of sheep",
        "Check the keywords of the class, or train longer.",
    ),
    "class-unlabelled": Rule(
        "No label map shows a class of the list. No network can learn it.",
        "labels: no label map shows sheep",
        "Check the labels, or make them with a list without the class.",
    ),
    "labels-empty-third": Rule(
        "A third or more of the pictures have no label.",
        "labels: 11 of 30 pictures have no label",
        "Lower `--min-score`, take other `--weights`, or check the keywords.",
    ),
    "s4net-poor": Rule(
        "The salient-instance network is too poor to label with.",
        "runs/s4net: AP50 is 0.07",
        "Train it longer or on more masks, or label with `--weights builtin`.",
    ),
    "review-damaged": Rule(
        "The journal of corrections has a line that s4 does not understand, or a file beside it is damaged.",
        "labels/review.jsonl: line 3 does nothing that is known",
        "Take the line out, or update s4. The corrections before it are kept.",
    ),
    "review-missing": Rule(
        "Corrections are asked for, and the label folder has none.",
        "labels: no review.jsonl",
        "Review the labels first, with `s4 review`, or leave the flag out.",
    ),
    "items-failed": Rule(
        "The work is finished, but some pictures could not be worked on.",
        "labels: 2 items failed",
        "Look at `failures.jsonl`. `--retry-failed` tries them again.",
    ),
}

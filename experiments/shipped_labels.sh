#!/usr/bin/env bash
# Label the pictures of train_aug with the network that ships and all defaults, train a DeepLab on the labels and one on
# the true masks, and print their mIoU on val and the ratio. Labels are also made with other limits of --min-score.
# The figures are in docs/experiments/shipped.md.
# Usage: experiments/shipped_labels.sh VOC OUT
set -euo pipefail
if (($# != 2)); then
    echo "usage: experiments/shipped_labels.sh VOC OUT" >&2
    exit 2
fi
S4=${S4:-s4}
voc=$1 out=$2
classes=(--classes "$voc/classes.txt")

"$S4" pseudo-label "$voc/JPEGImages" --split train_aug "${classes[@]}" --out "$out/labels"
for score in 0.3 0.1; do
    "$S4" pseudo-label "$voc/JPEGImages" --split train_aug "${classes[@]}" --min-score "$score" --out "$out/labels-$score"
done
for labels in "$out"/labels*; do
    "$S4" evaluate --voc "$voc" --split train_aug "${classes[@]}" --labels "$labels"
done

"$S4" deeplab-train --labels "$out/labels" --run "$out/weak"
"$S4" deeplab-train --images "$voc/JPEGImages" --labels "$voc/SegmentationClass" --labels-are ground-truth \
    "${classes[@]}" --list "$voc/ImageSets/Segmentation/train_aug.txt" --run "$out/upper"
"$S4" evaluate "$voc" --weights "$out/weak" --versus "$out/upper"

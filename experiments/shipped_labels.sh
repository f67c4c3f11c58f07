#!/usr/bin/env bash
# Label the pictures of train_aug with the network that ships and all defaults, and with two lower limits of --min-score.
# Train a DeepLab on the labels of 0.3 and of 0.2, and one on the true masks. Print mIoU on val and the ratios.
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

for score in 0.3 0.2 0.1; do # 0.3 is the default
    "$S4" pseudo-label "$voc/JPEGImages" --split train_aug "${classes[@]}" --min-score "$score" --out "$out/labels-$score"
    "$S4" evaluate --voc "$voc" --split train_aug "${classes[@]}" --labels "$out/labels-$score"
done

"$S4" deeplab-train --images "$voc/JPEGImages" --labels "$voc/SegmentationClass" --labels-are ground-truth \
    "${classes[@]}" --list "$voc/ImageSets/Segmentation/train_aug.txt" --run "$out/upper"
for score in 0.3 0.2; do
    "$S4" deeplab-train --labels "$out/labels-$score" --run "$out/weak-$score"
    "$S4" evaluate "$voc" --weights "$out/weak-$score" --versus "$out/upper"
done

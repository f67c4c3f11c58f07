#!/usr/bin/env bash
# Label the pictures of train_tail, where cats are nine times as many as cows, with the network that ships.
# Train a DeepLab of 600 steps on the labels and one on the true masks, each with uniform sampling and by repeat factors.
# Print the mIoU on val. The figures are in docs/experiments/shipped.md.
# Usage: experiments/long_tail.sh VOC OUT
set -euo pipefail
if (($# != 2)); then
    echo "usage: experiments/long_tail.sh VOC OUT" >&2
    exit 2
fi
S4=${S4:-s4}
voc=$1 out=$2
list=$voc/ImageSets/Segmentation/train_tail.txt
classes=(--classes "$voc/classes.txt")

"$S4" pseudo-label "$voc/JPEGImages" --keywords "$voc/keywords_train_tail.csv" "${classes[@]}" --out "$out/labels"
"$S4" evaluate --voc "$voc" --split train_tail "${classes[@]}" --labels "$out/labels"
for sampling in uniform repeat; do
    "$S4" deeplab-train --labels "$out/labels" --steps 600 --sampling "$sampling" --run "$out/weak-$sampling"
    "$S4" deeplab-train --images "$voc/JPEGImages" --labels "$voc/SegmentationClass" --labels-are ground-truth \
        "${classes[@]}" --list "$list" --steps 600 --sampling "$sampling" --run "$out/upper-$sampling"
    for network in weak upper; do
        "$S4" evaluate "$voc" --weights "$out/$network-$sampling"
    done
done

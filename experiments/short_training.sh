#!/usr/bin/env bash
# Train two short DeepLabs on labels of photographs, with --loss soft and balanced. Score both on other pictures.
# The figures are in docs/experiments/demo.md. LABELS are labels of VOC's train_tail. A third of the other pictures of
# train_aug is scored, so that val chooses nothing.
set -euo pipefail
if (($# != 3)); then
    echo "usage: experiments/short_training.sh VOC LABELS OUT" >&2
    exit 2
fi
S4=${S4:-s4}
voc=$(realpath "$1") labels=$2 out=$3
export OMP_NUM_THREADS=1

lists=$voc/ImageSets/Segmentation held=$out/voc
mkdir -p "$held/ImageSets/Segmentation"
ln -sfn "$voc/JPEGImages" "$held/JPEGImages"
ln -sfn "$voc/SegmentationClass" "$held/SegmentationClass"
comm -13 <(sort "$lists/train_tail.txt") <(sort "$lists/train_aug.txt") | awk 'NR % 3 == 1' \
    >"$held/ImageSets/Segmentation/held.txt"

for loss in soft balanced; do
    "$S4" deeplab-train --images "$voc/JPEGImages" --labels "$labels" --crop 161 --loss "$loss" --steps 300 \
        --workers 1 --run "$out/$loss"
done
"$S4" evaluate --voc "$held" --split held --weights "$out/balanced" --versus "$out/soft" --classes "$voc/classes.txt"

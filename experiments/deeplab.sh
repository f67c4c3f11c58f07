#!/usr/bin/env bash
# Train a DeepLab on the labels and one on the true masks. Print both mIoUs on val and their ratio.
# The figures are in docs/experiments/deeplab.md. LABELS is the OUT of labels.sh.
set -euo pipefail
if (($# < 3)); then
    echo "usage: experiments/deeplab.sh VOC LABELS OUT [SEED ...]" >&2
    exit 2
fi
S4=${S4:-s4}
voc=$1 labels=$2 out=$3
shift 3
(($#)) || set -- 0 1 2

pair() { OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 -- "$(command -v "$1")" "${@:2}"; }

for seed in "$@"; do
    pair "$S4" deeplab-train --images "$voc/JPEGImages" --labels "$labels/seed$seed" --loss soft \
        --network efficientnet_lite0 --steps 1500 --batch-size 4 --seed "$seed" --run "$out/weak$seed"
    pair "$S4" deeplab-train --images "$voc/JPEGImages" --labels "$voc/SegmentationClass" --labels-are ground-truth \
        --classes "$voc/classes.txt" --list "$voc/ImageSets/Segmentation/train_aug.txt" \
        --network efficientnet_lite0 --steps 1500 --batch-size 4 --seed "$seed" --run "$out/upper$seed"
    "$S4" evaluate --voc "$voc" --split val --weights "$out/weak$seed" --versus "$out/upper$seed" \
        --classes "$voc/classes.txt"
    "$S4" evaluate --voc "$voc" --split val --weights "$out/weak$seed" --versus "$out/upper$seed" \
        --classes "$voc/classes.txt" --scales 0.75,1.0,1.25 --flip --crf
done

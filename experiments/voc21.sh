#!/usr/bin/env bash
# Label the pictures of twenty classes with the network that ships and all defaults, and train a DeepLab on the labels.
# Print how good the labels are by class and by source, why they fail, and what the DeepLab reaches beside one of true masks.
# Usage: experiments/voc21.sh VOC OUT [SEED ...]
set -euo pipefail
if (($# < 2)); then
    echo "usage: experiments/voc21.sh VOC OUT [SEED ...]" >&2
    exit 2
fi
S4=${S4:-s4} PYTHON=${PYTHON:-python}
voc=$1 out=$2
shift 2
(($#)) || set -- 0
lists=$voc/ImageSets/Segmentation
mkdir -p "$out"

"$S4" pseudo-label "$voc/JPEGImages" --keywords "$voc/keywords_train.csv" --out "$out/labels"
"$S4" evaluate --voc "$voc" --split train --labels "$out/labels"
# The same by source: a list of pictures for each.
mkdir -p "$out/sources/ImageSets/Segmentation"
ln -sfn "$(realpath "$voc/SegmentationClass")" "$(realpath "$voc/JPEGImages")" "$out/sources/"
for source in imagenet coco voc-train voc-val-part; do
    awk -F, -v source="$source" '$2 == source { sub(/\.[^.]*$/, "", $1); print $1 }' "$voc/sources_train.csv" \
        > "$out/sources/ImageSets/Segmentation/$source.txt"
    "$S4" evaluate --voc "$out/sources" --split "$source" --labels "$out/labels"
done
"$PYTHON" "$(dirname "$0")/../benchmarks/label_causes.py" "$out/labels" --voc "$voc" --split train

for seed in "$@"; do
    "$S4" deeplab-train --labels "$out/labels" --seed "$seed" --run "$out/weak$seed"
    "$S4" deeplab-train --images "$voc/JPEGImages" --labels "$voc/SegmentationClass" --labels-are ground-truth \
        --list "$lists/train.txt" --seed "$seed" --run "$out/upper$seed"
    "$S4" evaluate --voc "$voc" --split val --weights "$out/weak$seed" --versus "$out/upper$seed"
    "$S4" evaluate --voc "$voc" --split val --weights "$out/weak$seed" --versus "$out/upper$seed" \
        --scales 0.75,1.0,1.25 --flip --crf
done

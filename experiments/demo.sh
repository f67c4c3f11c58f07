#!/usr/bin/env bash
# Run the demo. Then train DeepLab on its labels and on its exact masks with other losses and lengths.
# The figures are in docs/experiments/demo.md. Needs no data.
set -euo pipefail
if (($# != 1)); then
    echo "usage: experiments/demo.sh OUT" >&2
    exit 2
fi
S4=${S4:-s4} PYTHON=${PYTHON:-python}
out=$1
voc=$out/demo/scenes/voc
errors=$(dirname "$0")/../benchmarks/foreground_errors.py

"$S4" demo --out "$out/demo"
"$S4" evaluate --voc "$voc" --split train --labels "$out/demo/labels" --classes "$voc/classes.txt" --json
"$PYTHON" "$errors" "$out/demo/labels" --voc "$voc" --split train --classes "$voc/classes.txt"

"$S4" deeplab-train --images "$voc/JPEGImages" --labels "$out/demo/labels" --classes "$voc/classes.txt" \
    --list "$voc/ImageSets/Segmentation/train.txt" --network efficientnet_lite0 --crop 161 \
    --loss plain --steps 300 --run "$out/labels-plain-300"
"$S4" deeplab-train --images "$voc/JPEGImages" --labels "$out/demo/labels" --classes "$voc/classes.txt" \
    --list "$voc/ImageSets/Segmentation/train.txt" --network efficientnet_lite0 --crop 161 \
    --loss soft --steps 300 --run "$out/labels-soft-300"
"$S4" deeplab-train --images "$voc/JPEGImages" --labels "$out/demo/labels" --classes "$voc/classes.txt" \
    --list "$voc/ImageSets/Segmentation/train.txt" --network efficientnet_lite0 --crop 161 \
    --loss balanced --steps 300 --run "$out/labels-balanced-300"
"$S4" deeplab-train --images "$voc/JPEGImages" --labels "$out/demo/labels" --classes "$voc/classes.txt" \
    --list "$voc/ImageSets/Segmentation/train.txt" --network efficientnet_lite0 --crop 161 \
    --loss plain --steps 900 --run "$out/labels-plain-900"
"$S4" deeplab-train --images "$voc/JPEGImages" --labels "$out/demo/labels" --classes "$voc/classes.txt" \
    --list "$voc/ImageSets/Segmentation/train.txt" --network efficientnet_lite0 --crop 161 \
    --loss soft --steps 900 --run "$out/labels-soft-900"
"$S4" deeplab-train --images "$voc/JPEGImages" --labels "$voc/SegmentationClass" --labels-are ground-truth \
    --classes "$voc/classes.txt" --list "$voc/ImageSets/Segmentation/train.txt" --network efficientnet_lite0 \
    --crop 161 --loss balanced --steps 300 --run "$out/masks-balanced-300"

runs=("$out/demo/runs/deeplab_exact_masks" "$out/masks-balanced-300")
runs+=("$out/labels-plain-300" "$out/labels-soft-300" "$out/labels-balanced-300")
runs+=("$out/labels-plain-900" "$out/labels-soft-900")
for run in "${runs[@]}"; do
    "$S4" evaluate --voc "$voc" --split val --weights "$run" --classes "$voc/classes.txt" \
        --versus "$out/demo/runs/deeplab_exact_masks"
done
"$PYTHON" "$errors" "${runs[@]}" --voc "$voc" --split val --classes "$voc/classes.txt"

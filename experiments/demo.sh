#!/usr/bin/env bash
# Run the demo. Then train DeepLab on its labels and on its exact masks with other losses, draws and lengths.
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

runs=()
train() { # LABELS LOSS SAMPLING STEPS SEED
    local kind=pseudo name=labels-$2-$3-$4-$5
    if [[ $1 == "$voc/SegmentationClass" ]]; then kind=ground-truth name=masks-$2-$3-$4-$5; fi
    "$S4" deeplab-train --images "$voc/JPEGImages" --labels "$1" --labels-are "$kind" --classes "$voc/classes.txt" \
        --list "$voc/ImageSets/Segmentation/train.txt" --network efficientnet_lite0 --crop 161 \
        --loss "$2" --sampling "$3" --steps "$4" --seed "$5" --run "$out/$name"
    runs+=("$out/$name")
}

for loss in plain soft balanced; do train "$out/demo/labels" "$loss" repeat 300 0; done
for loss in plain soft balanced; do train "$out/demo/labels" "$loss" auto 900 0; done
train "$voc/SegmentationClass" balanced auto 300 0
for seed in 0 1 2; do
    for sampling in repeat uniform; do train "$voc/SegmentationClass" plain "$sampling" 300 "$seed"; done
done

for run in "$out/demo/runs/deeplab_exact_masks" "${runs[@]}"; do
    "$S4" evaluate --voc "$voc" --split val --weights "$run" --classes "$voc/classes.txt" \
        --versus "$out/demo/runs/deeplab_exact_masks"
done
"$PYTHON" "$errors" "${runs[@]}" --voc "$voc" --split val --classes "$voc/classes.txt"

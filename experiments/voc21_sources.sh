#!/usr/bin/env bash
# What do ImageNet's pictures give, VOC's, and both? Label each set by itself, and train a DeepLab of STEPS on the labels.
# The figures are in docs/experiments/twenty.md.
# Usage: experiments/voc21_sources.sh VOC OUT STEPS
set -euo pipefail
if (($# != 3)); then
    echo "usage: experiments/voc21_sources.sh VOC OUT STEPS" >&2
    exit 2
fi
S4=${S4:-s4}
voc=$1 out=$2 steps=$3
mkdir -p "$out"

for set in imagenet voc imagenet+voc; do
    # The keywords of the pictures whose source is part of the set's name, voc-train and voc-val-part being voc.
    awk -F, -v set="$set" 'NR == FNR { sub(/-.*/, "", $2); source[$1] = $2; next }
        FNR == 1 || index("+" set "+", "+" source[$1] "+")' "$voc/sources_train.csv" "$voc/keywords_train.csv" \
        > "$out/$set.csv"
    "$S4" pseudo-label "$voc/JPEGImages" --keywords "$out/$set.csv" --out "$out/labels-$set"
    "$S4" deeplab-train --labels "$out/labels-$set" --steps "$steps" --run "$out/weak-$set"
    "$S4" evaluate "$voc" --weights "$out/weak-$set"
done

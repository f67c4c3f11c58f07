#!/usr/bin/env bash
# Label the training pictures with the present recipe. Print how good the labels are, and how sure.
# The figures are in docs/experiments/labels.md. NETWORKS is the OUT of s4net.sh.
set -euo pipefail
if (($# < 3)); then
    echo "usage: experiments/labels.sh VOC NETWORKS OUT [SEED ...]" >&2
    exit 2
fi
S4=${S4:-s4}
voc=$1 networks=$2 out=$3
shift 3
(($#)) || set -- 0 1 2

for seed in "$@"; do
    "$S4" pseudo-label --images "$voc/JPEGImages" --weights "$networks/seed$seed" --recognise imagenet \
        --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt" --out "$out/seed$seed"
    "$S4" evaluate --voc "$voc" --split train_aug --labels "$out/seed$seed" --classes "$voc/classes.txt" --json
done

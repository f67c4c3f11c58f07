#!/usr/bin/env bash
# Label again with the DeepLab of the first round, and train a second DeepLab on these labels.
# The figures are in docs/experiments/rounds.md.
# NETWORKS, LABELS and RUNS are the OUT of s4net.sh, labels.sh and deeplab.sh.
set -euo pipefail
if (($# < 5)); then
    echo "usage: experiments/rounds.sh VOC NETWORKS LABELS RUNS OUT [SEED ...]" >&2
    exit 2
fi
S4=${S4:-s4}
voc=$1 networks=$2 labels=$3 runs=$4 out=$5
shift 5
(($#)) || set -- 0

pair() { OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 -- "$(command -v "$1")" "${@:2}"; }

for seed in "$@"; do
    "$S4" pseudo-label --images "$voc/JPEGImages" --weights "$networks/seed$seed" --recognise imagenet \
        --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt" --cues-of "$labels/seed$seed" \
        --segmenter "$runs/weak$seed" --out "$out/labels$seed"
    "$S4" evaluate --voc "$voc" --split train_aug --labels "$out/labels$seed" --classes "$voc/classes.txt"
    pair "$S4" deeplab-train --images "$voc/JPEGImages" --labels "$out/labels$seed" --loss soft \
        --network efficientnet_lite0 --steps 1500 --batch-size 4 --seed "$seed" --run "$out/again$seed"
    for other in "upper$seed" "weak$seed"; do
        "$S4" evaluate --voc "$voc" --split val --weights "$out/again$seed" --versus "$runs/$other" \
            --classes "$voc/classes.txt"
        "$S4" evaluate --voc "$voc" --split val --weights "$out/again$seed" --versus "$runs/$other" \
            --classes "$voc/classes.txt" --scales 0.75,1.0,1.25 --flip --crf
    done
done

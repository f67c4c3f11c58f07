#!/usr/bin/env bash
# Train S4Net with preset `paper`, for a fifth of the paper's steps. Print the same figures as s4net.sh.
# The figures are in docs/experiments/s4net.md.
set -euo pipefail
if (($# < 3)); then
    echo "usage: experiments/s4net_paper.sh SALIENT VOC OUT [SEED ...]" >&2
    exit 2
fi
S4=${S4:-s4}
salient=$1 voc=$2 out=$3
shift 3
(($#)) || set -- 0

pair() { OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 -- "$(command -v "$1")" "${@:2}"; }

for seed in "$@"; do
    pair "$S4" train --images "$salient/images" --annotations "$salient/train.json" \
        --val-annotations "$salient/val.json" --trunk efficientnet_lite0 --image-size 320 --preset paper \
        --batch-size 1 --steps 4000 --evaluate-every 2000 --seed "$seed" --run "$out/seed$seed"
    "$S4" evaluate --images "$salient/images" --annotations "$salient/test.json" --weights "$out/seed$seed"
    "$S4" evaluate --voc "$voc" --split val --classes "$voc/classes.txt" --weights "$out/seed$seed" --foreground
    "$S4" evaluate --voc "$voc" --split val --classes "$voc/classes.txt" --weights "$out/seed$seed" --foreground \
        --min-score 0.3
done

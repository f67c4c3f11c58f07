#!/usr/bin/env bash
# Train S4Net with preset `modern`. Print its mask AP on the test pictures, and its zero-shot IoU on VOC.
# The figures are in docs/experiments/s4net.md. EVERY is the number of steps between evaluations on val.
set -euo pipefail
if (($# < 3)); then
    echo "usage: experiments/s4net.sh SALIENT VOC OUT [SEED ...]" >&2
    exit 2
fi
S4=${S4:-s4} EVERY=${EVERY:-1000}
salient=$1 voc=$2 out=$3
shift 3
(($#)) || set -- 0 1 2

# Two processes of one thread each are faster than one process of two threads.
pair() { OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 -- "$(command -v "$1")" "${@:2}"; }

for seed in "$@"; do
    pair "$S4" train --images "$salient/images" --annotations "$salient/train.json" \
        --val-annotations "$salient/val.json" --trunk efficientnet_lite0 --image-size 384 --batch-size 4 \
        --steps 2000 --evaluate-every "$EVERY" --seed "$seed" --run "$out/seed$seed"
    "$S4" evaluate --images "$salient/images" --annotations "$salient/val.json" --weights "$out/seed$seed"
    "$S4" evaluate --images "$salient/images" --annotations "$salient/test.json" --weights "$out/seed$seed"
    "$S4" evaluate --images "$salient/images" --annotations "$salient/test.json" --weights "$out/seed$seed" --flip
    "$S4" evaluate --voc "$voc" --split val --classes "$voc/classes.txt" --weights "$out/seed$seed" --foreground
    "$S4" evaluate --voc "$voc" --split val --classes "$voc/classes.txt" --weights "$out/seed$seed" --foreground \
        --min-score 0.3
done

#!/usr/bin/env bash
# Does a longer schedule keep touching objects apart? The network of shipped.sh goes on for 500 steps.
# The figures, and those of ways that were given up, are in docs/experiments/touching.md.
# IMAGES, TRAIN and VAL are OUT/joined/images, OUT/joined/annotations.json and OUT/joined/val.json of shipped.sh.
set -euo pipefail
if (($# < 5)); then
    echo "usage: experiments/touching.sh IMAGES TRAIN.json VAL.json START OUT" >&2
    exit 2
fi
S4=${S4:-s4}
images=$1 train=$2 val=$3 start=$4 out=$5

"$S4" evaluate --images "$images" --annotations "$val" --weights "$start"
OMP_NUM_THREADS=1 "$S4" train --images "$images" --annotations "$train" --start-from "$start" --image-size 384 \
    --batch-size 4 --steps 500 --lr 1e-4 --workers 1 --run "$out/longer"
"$S4" evaluate --images "$images" --annotations "$val" --weights "$out/longer"

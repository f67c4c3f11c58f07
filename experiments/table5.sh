#!/usr/bin/env bash
# Table 5 of the S4Net paper on the pictures of twenty classes: what are the best labels made from?
# The figures are in docs/experiments/table5.md.
# Usage: experiments/table5.sh VOC OUT
set -euo pipefail
if (($# != 2)); then
    echo "usage: experiments/table5.sh VOC OUT" >&2
    exit 2
fi
S4=${S4:-s4}
voc=$1 out=$2

table() {
    "$S4" ablate --table 5 --voc "$voc" --split train --keywords "$voc/keywords_train.csv" --steps 500 --loss balanced \
        --out "$out" "$@"
}

table --assign attention,graph,auto --seeds 0
cp "$out/table5.md" "$out/table5-seed0.md"
table --assign graph --seeds 0,1 # the rows of the paper once more

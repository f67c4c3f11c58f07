#!/usr/bin/env bash
# Measure how much of a mask's gradient lies in the ring around its box, and draw three pictures of it.
# The figures are in docs/experiments/ring.md. RUN is a network of s4net.sh.
set -euo pipefail
if (($# != 3)); then
    echo "usage: experiments/ring.sh SALIENT RUN OUT" >&2
    exit 2
fi
S4=${S4:-s4}
salient=$1 run=$2 out=$3

"$S4" explain --images "$salient/images" --annotations "$salient/test.json" --weights "$run" --out "$out/drawn" \
    --outlines --ids duts_n01641577_237,pennfudan_FudanPed00039,coco_000000000575
"$S4" explain --images "$salient/images" --annotations "$salient/test.json" --weights "$run" --out "$out/counted" \
    --count 50 --figures 0

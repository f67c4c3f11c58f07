#!/usr/bin/env bash
# Train and score the rows of the S4Net paper's Tables 1 (RoI layers) and 2 (ring width), with three seeds each.
# The figures are in docs/experiments/ablation.md.
set -euo pipefail
if (($# != 2)); then
    echo "usage: experiments/ablation.sh SALIENT OUT" >&2
    exit 2
fi
S4=${S4:-s4}
salient=$1 out=$2

"$S4" ablate --table 1 --seeds 0,1,2 --images "$salient/images" --annotations "$salient/train.json" \
    --test-annotations "$salient/test.json" --trunk efficientnet_lite0 --image-size 192 --steps 150 \
    --batch-size 8 --mask-slack 0 --out "$out"
"$S4" ablate --table 2 --seeds 0,1,2 --images "$salient/images" --annotations "$salient/train.json" \
    --test-annotations "$salient/test.json" --trunk efficientnet_lite0 --image-size 192 --steps 150 \
    --batch-size 8 --mask-slack 0 --out "$out"

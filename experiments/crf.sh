#!/usr/bin/env bash
# Time the dense CRF beside pydensecrf2 (pip install pydensecrf2).
# The figures are in docs/experiments/speed.md.
set -euo pipefail
if (($# != 1)); then
    echo "usage: experiments/crf.sh VOC" >&2
    exit 2
fi
PYTHON=${PYTHON:-python}
voc=$1

"$PYTHON" "$(dirname "$0")/../benchmarks/crf.py" --images "$voc/JPEGImages" --count 4

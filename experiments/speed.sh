#!/usr/bin/env bash
# Time S4Net beside other networks, and measure the memory of labelling. Needs no data.
# The figures are in docs/experiments/speed.md.
set -euo pipefail
if (($# != 1)); then
    echo "usage: experiments/speed.sh OUT" >&2
    exit 2
fi
S4=${S4:-s4} PYTHON=${PYTHON:-python}
out=$1
benchmarks=$(dirname "$0")/../benchmarks

"$PYTHON" "$benchmarks/speed.py" --repeats 4 --out "$out"
"$S4" bench --what inference --trunk efficientnet_lite0 --repeats 3
"$S4" bench --what inference --trunk efficientnet_lite0 --image-size 384 --repeats 3
"$PYTHON" "$benchmarks/memory.py"
"$PYTHON" "$benchmarks/keyword_graph.py" --instances 50000

#!/bin/bash
# make bench: every figure beside the ceiling of this machine, in run/bench.json.
#   bench.sh [NAME...]      all, or those: edge.cached edge.query worker.noop ...
set -euo pipefail
cd "$(dirname "$0")/.."
export TRAVEL_BUILD=${TRAVEL_BUILD:-$PWD/build}
case " ${*:-vs_} " in *vs_*) scripts/install.sh packages-peers.txt ;; esac
make --no-print-directory BUILD="$TRAVEL_BUILD" "$TRAVEL_BUILD/bench/bare_loop"
exec perl -It/lib scripts/bench.pl "$@"

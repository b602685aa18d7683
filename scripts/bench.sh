#!/bin/bash
# make bench: every figure beside the ceiling of this machine, in run/bench.json.
#   bench.sh [NAME...]      edge.cached edge.command edge.query worker.noop
set -euo pipefail
cd "$(dirname "$0")/.."
export TRAVEL_BUILD=${TRAVEL_BUILD:-$PWD/build}
exec perl -It/lib scripts/bench.pl "$@"

#!/bin/bash
# Run the tests against the build in $1, and say how it went in one last line.
#   test.sh BUILD [--soak SECONDS] [FILE-OR-FOLDER...]
# --soak runs t/60-faults alone, each file for that long.
set -uo pipefail
cd "$(dirname "$0")/.."

export TRAVEL_BUILD=${1:-build}
shift || true
case $TRAVEL_BUILD in /*) ;; *) TRAVEL_BUILD=$PWD/$TRAVEL_BUILD ;; esac
what=(t)
if [ "${1:-}" = --soak ]; then
    export TRAVEL_SOAK=$2
    what=(t/60-faults)
    shift 2
fi
[ $# -gt 0 ] && what=("$@")

exec perl scripts/prove.pl "${what[@]}"

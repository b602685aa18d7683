#!/bin/bash
# make check: the clang build, the tests under ASan and UBSan, a short fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."

jobs=-j$(nproc)
step() { printf '\n== %s\n' "$*"; }

step "clang"
make --no-print-directory "$jobs" clang

step "ASan and UBSan"
make --no-print-directory "$jobs" asan
# Leaks are judged by our own binaries; nginx and libpq keep what they keep
# until exit, so the preloaded servers run without the leak check.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:abort_on_error=0:halt_on_error=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
TRAVEL_SAN=1 scripts/test.sh build/asan

step "fuzz"
scripts/fuzz.sh run "${FUZZ_SECONDS:-10}"

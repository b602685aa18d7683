#!/bin/bash
# make check: the clang build, the tests under ASan and UBSan, a short fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step "clang"
make --no-print-directory clang

step "ASan and UBSan"
make --no-print-directory asan
# Our own binaries are judged on leaks too; the stock nginx with the runtime
# preloaded is not (instance.sh).
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
TRAVEL_SAN=1 scripts/test.sh build/asan

step "fuzz"
scripts/fuzz.sh run "${FUZZ_SECONDS:-10}"

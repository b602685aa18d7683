#!/bin/bash
# Build and run the fuzz drivers of t/fuzz (libFuzzer, ASan, UBSan).
#   fuzz.sh build            only build them into build/fuzz/
#   fuzz.sh run SECONDS      each driver that long, from t/fuzz/corpus/<driver>/
# What a run learns stays in build/fuzz/; a crash leaves its input there.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$PWD/build/fuzz
mkdir -p "$out"

build() {
    make --no-print-directory CC=clang SAN=fuzzer-no-link,address,undefined \
        BUILD=build/fuzz/lib lib
    local src name
    for src in t/fuzz/*.c; do
        [ -e "$src" ] || return 0
        name=$(basename "$src" .c)
        [ "$out/$name" -nt "$src" ] && [ "$out/$name" -nt "$out/lib/libtravel.a" ] \
            && continue
        clang -D_GNU_SOURCE -std=c11 -O1 -g -Wall -Wextra -I. -Icommon \
            -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
            -o "$out/$name" "$src" "$out/lib/libtravel.a" \
            $(pkg-config --libs jansson openssl) -lz -lm -pthread
    done
}

run() {
    local src name bad=0
    for src in t/fuzz/*.c; do
        [ -e "$src" ] || { echo "no fuzz drivers"; return 0; }
        name=$(basename "$src" .c)
        mkdir -p "$out/corpus/$name"
        local seeds=("$out/corpus/$name")
        [ -d "t/fuzz/corpus/$name" ] && seeds+=("t/fuzz/corpus/$name")
        printf 'fuzz %-16s ' "$name"
        if "$out/$name" -max_total_time="$1" -timeout=10 -rss_limit_mb=1024 \
            -artifact_prefix="$out/$name-" -print_final_stats=1 "${seeds[@]}" \
            > "$out/$name.log" 2>&1
        then
            awk '/number_of_executed_units/ { print "ok, " $2 " inputs" }' \
                "$out/$name.log"
        else
            echo "FAILED, see build/fuzz/$name.log"
            tail -30 "$out/$name.log"
            bad=1
        fi
    done
    return $bad
}

build
[ "${1:-run}" = build ] || run "${2:-10}"

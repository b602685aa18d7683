#!/bin/bash
# make model: the queue protocol (t/model/queue.pml) in all its states, then
# its mistakes, one by one, each of which must be found.
# model.sh [--full]; --full: two takeovers and a lost connection in one run,
# some 40 million states, minutes and 3 GB.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# verify FLAGS...: prints spin's verdict; true when nothing is wrong.
verify() {
    (cd "$dir" && spin -a "$@" "$OLDPWD/t/model/queue.pml" > spin.log) ||
        { cat "$dir/spin.log" >&2; exit 2; }
    gcc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=6000 -o "$dir/pan" "$dir/pan.c"
    (cd "$dir" && ./pan -m200000 -n > pan.log)
    awk '/errors:/ { errors = $NF } / states, stored/ { states = $1 }
         /assertion violated/ { sub(/^.*assertion violated */, ""); why = $0 }
         END { printf "%d states, %s", states,
               errors == 0 ? "no error\n" : "found: " why "\n"
               exit errors != 0 }' "$dir/pan.log"
}

# holds FLAGS..., breaks FLAGS...: what must come of it.
failed=0
holds() { printf '%-44s' "$*"; verify "$@" || failed=1; }
breaks() { printf '%-44s' "$*"; ! verify "$@" || failed=1; }

holds -DTAKEOVERS=2 -DLOSSES=0
holds -DTAKEOVERS=1 -DLOSSES=2
[ "${1:-}" != --full ] || holds -DTAKEOVERS=2 -DLOSSES=1

breaks -DEARLY   -DTAKEOVERS=2 -DLOSSES=0
breaks -DDOUBT   -DTAKEOVERS=1 -DLOSSES=1
breaks -DCLOCK   -DTAKEOVERS=1 -DLOSSES=0
breaks -DNOTURN  -DTAKEOVERS=1 -DLOSSES=1
breaks -DNOFENCE -DTAKEOVERS=2 -DLOSSES=0

exit $failed

#!/bin/bash
# make model: the queue protocol (t/model/queue.pml) and a repartitioning
# (t/model/repartition.pml) in all their states, then their mistakes, one by one,
# each of which must be found.
# model.sh [--full]; --full: two takeovers and a lost connection in one run,
# some 40 million states, minutes and 3 GB.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# -O2 takes longer to compile than it saves, but for the big one.
optimise=-O1
[ "${1:-}" != --full ] || optimise=-O2

# verify MODEL FLAGS...: prints spin's verdict; true when nothing is wrong.
verify() {
    (cd "$dir" && spin -a "${@:2}" "$OLDPWD/t/model/$1.pml" > spin.log) ||
        { cat "$dir/spin.log" >&2; exit 2; }
    gcc "$optimise" -w -DSAFETY -DCOLLAPSE -DMEMLIM=6000 -o "$dir/pan" "$dir/pan.c"
    (cd "$dir" && ./pan -m200000 -n > pan.log)
    awk '/errors:/ { errors = $NF } / states, stored/ { states = $1 }
         /assertion violated/ { sub(/^.*assertion violated */, ""); why = $0 }
         END { printf "%d states, %s", states,
               errors == 0 ? "no error\n" : "found: " why "\n"
               exit errors != 0 }' "$dir/pan.log"
}

# holds MODEL FLAGS..., breaks MODEL FLAGS...: what must come of it.
failed=0
holds() { printf '%-44s' "$*"; verify "$@" || failed=1; }
breaks() { printf '%-44s' "$*"; ! verify "$@" || failed=1; }

holds queue -DTAKEOVERS=2 -DLOSSES=0
holds queue -DTAKEOVERS=1 -DLOSSES=2
holds queue -DTAKEOVERS=1 -DLOSSES=0 -DPAUSES=1
[ "${1:-}" != --full ] || holds queue -DTAKEOVERS=1 -DLOSSES=1 -DPAUSES=2
[ "${1:-}" != --full ] || holds queue -DTAKEOVERS=2 -DLOSSES=1

breaks queue -DEARLY   -DTAKEOVERS=2 -DLOSSES=0
breaks queue -DDOUBT   -DTAKEOVERS=1 -DLOSSES=1
breaks queue -DCLOCK   -DTAKEOVERS=1 -DLOSSES=0
breaks queue -DNOTURN  -DTAKEOVERS=1 -DLOSSES=1
breaks queue -DNOFENCE -DTAKEOVERS=2 -DLOSSES=0

breaks queue -DSTALE   -DTAKEOVERS=1 -DLOSSES=0 -DPAUSES=1
breaks queue -DANEW    -DTAKEOVERS=1 -DLOSSES=0 -DPAUSES=1

holds repartition
breaks repartition -DOPENLY
breaks repartition -DUNHELD
breaks repartition -DUNCLOSED

exit $failed

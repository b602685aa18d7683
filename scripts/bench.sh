#!/bin/bash
# make bench: every figure beside the ceiling of this machine, in run/bench.json.
#   bench.sh [NAME...]      all, or those: edge.cached edge.query worker.noop ...
set -euo pipefail
cd "$(dirname "$0")/.."
export TRAVEL_BUILD=${TRAVEL_BUILD:-$PWD/build}
case " ${*:-vs_} " in *vs_*) scripts/install.sh packages-peers.txt ;; esac
case " ${*:-graphql.query.vs_} " in *graphql.query.vs_* | *.vs_bullmq*)
    cmp -s scripts/bench/peers/package-lock.json scripts/bench/peers/node_modules/.installed-lock ||
        ( cd scripts/bench/peers
          npm ci --no-audit --no-fund --loglevel=error
          cp package-lock.json node_modules/.installed-lock ) ;;
esac
make --no-print-directory BUILD="$TRAVEL_BUILD" "$TRAVEL_BUILD/bench/bare_loop"
exec perl -It/lib scripts/bench.pl "$@"

#!/bin/bash
# Render the configuration that images carry; no secret is in it, only where
# secrets are.
#   render-all.sh ROOT-OF-THE-IMAGE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: render-all.sh DIRECTORY}

export TRAVEL_VALUES=$here/values TRAVEL_RUN=/var/lib/travel
mkdir -p "$out/etc/nginx" "$out/etc/travel"
render() {
    "$here/../scripts/render.sh" "$here/../conf/$1.conf" "$out/etc/$2/$1.conf"
    chmod 644 "$out/etc/$2/$1.conf"
}
render nginx nginx
render workers travel
render postgresql travel
render sandbox travel

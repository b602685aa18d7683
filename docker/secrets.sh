#!/bin/bash
# Make docker/secrets, once, before the first start: what compose.yaml hands out
# as files, to each service only what it needs.  Needs the workers' image.
#   secrets.sh [DIRECTORY]
# DOCKER=podman for podman.  What is there stays; to change a key, delete it
# and see README.md.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/secrets}

mkdir -p "$dir"
# Nobody else gets into the folder.  In it the files can be read by everybody,
# because compose mounts each as it is, and containers have users of their own.
chmod 700 "$dir"
"$here/../scripts/keys.sh" "$dir"
if [ ! -s "$dir/jwks.json" ]; then
    ${DOCKER:-docker} run --rm -i --network none \
        "${TRAVEL_IMAGE:-ngx-travel}/workers:${TRAVEL_TAG:-latest}" \
        travelctl token jwks --key /dev/stdin \
        < "$dir/signing.pem" > "$dir/jwks.json.new"
    mv "$dir/jwks.json.new" "$dir/jwks.json"
fi
chmod 444 "$dir"/*

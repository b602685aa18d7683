#!/bin/bash
# Install what is missing: Debian packages (packages.txt) and npm parts (node/).
#   install.sh [LIST...]     further lists of packages, beside packages.txt
# Only apt needs root; a plain user is asked for sudo, and only then.
set -euo pipefail
cd "$(dirname "$0")"

have_package() {
    dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

missing=()
while read -r package command; do
    [ -n "$command" ] && command -v "$command" >/dev/null && continue
    have_package "$package" || missing+=("$package")
done < <(sed 's/#.*//; /^[[:space:]]*$/d' packages.txt "$@")

# Daemons that arrive by apt must not start by themselves, now or at the next
# boot: the instances of `make run` are private, and ports 80, 5432, 6379 and
# 9090 are not ours to take.  A service that was there before stays as it was.
# (A daemon that is new in packages.txt belongs into this list.)
install_quietly() {
    local policy=/usr/sbin/policy-rc.d service arrived=()
    for service in nginx redis-server postgresql prometheus; do
        [ -e "/etc/init.d/$service" ] || arrived+=("$service")
    done
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod 755 "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    # A fresh machine may still be busy with its own upgrades.
    local wait="-o DPkg::Lock::Timeout=300"
    apt-get update -q || echo "install: apt-get update failed, going on" >&2
    apt-get install -q -y $wait --no-install-recommends "$@"
    for service in ${arrived[@]+"${arrived[@]}"}; do
        [ -e "/etc/init.d/$service" ] || continue
        if command -v systemctl > /dev/null; then
            systemctl --quiet disable "$service"
        else
            update-rc.d "$service" disable
        fi || echo "install: $service may start at boot" >&2
    done
}

if [ ${#missing[@]} -gt 0 ]; then
    echo "installing from apt: ${missing[*]}"
    if [ "$(id -u)" = 0 ]; then
        ( install_quietly "${missing[@]}" )
    else
        sudo bash -euo pipefail -c "$(declare -f install_quietly)"'
            install_quietly "$@"' install "${missing[@]}"
    fi
fi

# npm parts: exactly the lockfile, and only when it changed.
if ! cmp -s node/package-lock.json node/node_modules/.installed-lock; then
    echo "installing from npm: scripts/node"
    ( cd node
      npm ci --no-audit --no-fund --loglevel=error \
        || npm install --before=2026-03-01 --no-save --no-audit --no-fund \
               --loglevel=error
      cp package-lock.json node_modules/.installed-lock )
fi

#!/usr/bin/env bash
# Makes a base image out of Debian's packages, for machines that reach a Debian mirror but no image registry.
#   base_image.sh DOCKER NAME
# Mirrors come from this machine's own apt sources.
set -euo pipefail
docker=$1
name=$2
suite=bookworm

fail() { echo "$1" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "debootstrap must run as root"
PATH=$PATH:/usr/sbin
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"

# Both of apt's formats; the first entry that is not the security archive's and has this suite.
mirror=$(
  shopt -s nullglob
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    sed -nE "s/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+)[[:space:]]+$suite[[:space:]].*/\2/p" "$file"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    awk -v suite="$suite" '
      /^URIs:/ { uri = $2 }
      /^Suites:/ { for (i = 2; i <= NF; i++) if ($i == suite) mine = 1 }
      /^[[:space:]]*$/ { if (mine) print uri; mine = 0; uri = "" }
      END { if (mine) print uri }' "$file"
  done
)
mirror=${mirror%%$'\n'*}
[ -n "$mirror" ] || fail "no apt source of this machine has Debian $suite"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$root" "$mirror" >"$root.log" 2>&1 ||
  fail "debootstrap failed: $(tail -n 3 "$root.log")"
rm -f "$root.log"
tar -C "$root" --one-file-system -c \
  --exclude=./var/cache/apt/* --exclude=./var/lib/apt/lists/* --exclude=./var/log/* \
  --exclude=./usr/share/doc/* --exclude=./usr/share/man/* --exclude=./usr/share/locale/* . |
  "$docker" import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$name" >/dev/null

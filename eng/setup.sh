#!/usr/bin/env bash
# Installs the Debian packages that the project needs on this machine. Idempotent: says what it does, does nothing twice.
# Usage: eng/setup.sh [run|test|guests|screenshots]
set -euo pipefail

purpose=${1:-run}
packages=(qemu-system-x86 busybox-static util-linux xz-utils ca-certificates
          liblz4-1 libzstd1 liblzma5 libbz2-1.0 liblzo2-2
          gcc libc6-dev binutils)   # the last three link the native binaries
if [ "$purpose" = test ]; then
  packages+=(lz4 zstd lzop bzip2 gzip procps etcd-server chromium fonts-dejavu-core)
fi

# The build fetches the library for the report's charts with npm, whoever brought it here: Debian's npm conflicts with other packages of Node.js.
if [ "$purpose" != guests ] && ! command -v npm >/dev/null; then
  packages+=(nodejs npm)
fi

if [ "$purpose" = screenshots ]; then
  packages+=(chromium fonts-inter pngquant)
fi

if [ "$purpose" = guests ]; then
  packages+=(debootstrap e2fsprogs)
fi

say() { printf '==> %s\n' "$*"; }

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done

if [ ${#missing[@]} -eq 0 ]; then
  say "Debian packages: all ${#packages[@]} installed"
else
  say "Debian packages: installing ${missing[*]}"
  root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "setup: not root and no sudo; install these packages by hand: ${missing[*]}" >&2; exit 4; }
    root=(sudo)
  fi
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  # The tests start their own etcd; the package would start one for the whole machine. Debian asks policy-rc.d, where there is none it is ours for a moment.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    "${root[@]}" install -m 755 /dev/stdin "$policy" <<<$'#!/bin/sh\nexit 101'
    trap 'rm -f "$log"; "${root[@]}" rm -f "$policy"' EXIT
  fi
  # Package lists can be absent or old on a fresh machine: update only when something must be installed.
  if ! { "${root[@]}" apt-get update && "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
         apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup: apt-get failed (above are its last lines)" >&2
    exit 4
  fi
fi

command -v dotnet >/dev/null || { echo "setup: the .NET 10 SDK is missing (no 'dotnet' in PATH); install it first" >&2; exit 4; }
case $(dotnet --version 2>/dev/null) in
  10.*) ;;
  *) echo "setup: the .NET 10 SDK is needed, 'dotnet --version' says: $(dotnet --version 2>&1 | head -n 1)" >&2; exit 4 ;;
esac

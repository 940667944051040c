#!/usr/bin/env bash
# Downloads Debian kernels and unpacks them into a cache. Nothing is installed, the machine's apt configuration is not touched:
# apt runs with a root of its own inside the cache, on the mirror this machine uses, and checks the archive's signatures.
# Usage: eng/kernels.sh NAME...        NAME: 6.1-cloud, 6.12-cloud, and of both -generic and -rt (must be had); 5.10-cloud, 7-cloud (else a warning)
# Result: $KASLRMT_KERNELS (default ${XDG_CACHE_HOME:-~/.cache}/kaslrmt/kernels)/NAME/{vmlinuz,modules/RELEASE/}
set -euo pipefail

cache=${KASLRMT_KERNELS:-${XDG_CACHE_HOME:-$HOME/.cache}/kaslrmt/kernels}
mkdir -p "$cache"

say() { printf '==> %s\n' "$*"; }

# NAME: the suites it comes from, and the package that pulls it in.
suites_of() {
  case $1 in
    5.10-cloud) echo "bullseye bullseye-security" ;;
    6.1-* | 6.12-*) echo "bookworm bookworm-security" ;;
    7-cloud) echo "trixie trixie-backports" ;;
    *) echo "kernels: unknown kernel '$1' (known: 5.10-cloud, 6.1 and 6.12 -cloud -generic -rt, 7-cloud)" >&2; exit 2 ;;
  esac
}

pattern_of() {
  case $1 in
    5.10-cloud) echo '^linux-image-5\.10\.0-[0-9]+-cloud-amd64$' ;;
    6.1-cloud) echo '^linux-image-6\.1\.0-[0-9]+-cloud-amd64$' ;;
    6.1-generic) echo '^linux-image-6\.1\.0-[0-9]+-amd64$' ;;
    6.1-rt) echo '^linux-image-6\.1\.0-[0-9]+-rt-amd64$' ;;
    6.12-cloud) echo '^linux-image-6\.12\.[0-9]+\+deb12-cloud-amd64$' ;;
    6.12-generic) echo '^linux-image-6\.12\.[0-9]+\+deb12-amd64$' ;;
    6.12-rt) echo '^linux-image-6\.12\.[0-9]+\+deb12-rt-amd64$' ;;
    7-cloud) echo '^linux-image-7\.[0-9]+\.[0-9]+\+deb13-cloud-amd64$' ;;
  esac
}

# The mirrors this machine's apt uses, so that a private mirror or proxy keeps working.
mirror_of() {
  local wanted=$1 uris
  uris=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null | awk '$1 == "Debian" {print $2}' | sort -u)
  if [ "$wanted" = security ]; then
    grep -m1 'security' <<<"$uris" || true
  else
    grep -m1 -v 'security' <<<"$uris" || true
  fi
}

private_apt() {
  local root=$1; shift
  "$@" -o Dir::State="$root/state" -o Dir::State::status="$root/status" -o Dir::Cache="$root/cache" \
    -o Dir::Etc::sourcelist="$root/sources.list" -o Dir::Etc::sourceparts="$root/none" -o Dir::Etc::preferencesparts="$root/none" \
    -o Dir::Etc::main="$root/none" -o Dir::Etc::parts="/etc/apt/apt.conf.d" -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
    -o APT::Sandbox::User=root -o Acquire::Languages=none -o APT::Get::List-Cleanup=false
}

fetch() {
  local name=$1 suites root work main security
  suites=$(suites_of "$name")
  main=$(mirror_of main)
  security=$(mirror_of security)
  [ -n "$main" ] || { echo "kernels: apt on this machine has no Debian mirror configured" >&2; return 4; }

  root="$cache/.apt/$name"
  work="$cache/.new-$name"
  rm -rf "$root" "$work"
  mkdir -p "$root/state/lists/partial" "$root/cache/archives/partial" "$root/none" "$work/unpacked"
  : >"$root/status"
  for suite in $suites; do
    case $suite in
      *-security) [ -z "$security" ] || echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $security $suite main" ;;
      *) echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $main $suite main" ;;
    esac
  done >"$root/sources.list"

  private_apt "$root" apt-get -qq update >"$root/log" 2>&1 || { tail -n 5 "$root/log" >&2; return 4; }
  local image packages
  image=$(private_apt "$root" apt-cache pkgnames linux-image- 2>/dev/null | grep -E "$(pattern_of "$name")" | sort -V | tail -n 1)
  [ -n "$image" ] || { echo "kernels: no package for $name in: $suites" >&2; return 4; }

  # From 7.0 on the image package only pulls in others that hold the kernel and the modules.
  packages="$image $(private_apt "$root" apt-cache depends "$image" 2>/dev/null | awk '$1 == "Depends:" {print $2}' | grep -E '^linux-(binary|modules)-' || true)"
  say "$name: downloading $image"
  # shellcheck disable=SC2086
  (cd "$work" && private_apt "$root" apt-get -qq download $packages) >"$root/log" 2>&1 || { tail -n 5 "$root/log" >&2; return 4; }
  for deb in "$work"/*.deb; do
    dpkg-deb -x "$deb" "$work/unpacked"
  done

  local kernel modules
  kernel=$(find "$work/unpacked" -name 'vmlinuz*' -type f | sort | head -n 1)
  modules=$(find "$work/unpacked" -type d -path '*lib/modules' | head -n 1)
  [ -n "$kernel" ] && [ -n "$modules" ] || { echo "kernels: $image holds no vmlinuz or no modules" >&2; return 4; }
  mkdir -p "$work/ready"
  cp "$kernel" "$work/ready/vmlinuz"
  mv "$modules" "$work/ready/modules"
  echo "$image" >"$work/ready/package"
  rm -rf "${cache:?}/$name"
  mv "$work/ready" "$cache/$name"
  rm -rf "$work" "$root"
}

for name in "$@"; do
  suites_of "$name" >/dev/null
  if [ -s "$cache/$name/vmlinuz" ] && [ -d "$cache/$name/modules" ]; then
    say "kernel $name: in the cache"
  elif fetch "$name"; then
    say "kernel $name: unpacked into the cache"
  else
    case $name in
      6.*) echo "kernels: $name could not be had" >&2; exit 4 ;;
      *) echo "kernels: warning: $name could not be had; going on without it" >&2 ;;
    esac
  fi
done
rm -rf "$cache/.apt"

#!/usr/bin/env bash
# Measures the fingerprints of pages: compiled natively (as the product is), natively for x86-64-v3, and ReadyToRun.
# Usage: bench/hash.sh
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

measure() {
  local name=$1
  shift
  dotnet publish bench/KaslrMt.HashBench -c Release -r linux-x64 --nologo -v quiet -o "$out/$name" "$@"
  echo "== $name"
  "$out/$name/KaslrMt.HashBench"
}

measure aot
measure aot-x86-64-v3 -p:IlcInstructionSet=x86-64-v3
measure ready-to-run -p:PublishAot=false --self-contained false -p:PublishReadyToRun=true

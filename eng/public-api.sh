#!/usr/bin/env bash
# Writes down what the libraries offer other programs: fills src/*/PublicAPI.Unshipped.txt from the compiler's RS0016. Read the difference before you commit it.
# What PublicAPI.Shipped.txt lists and is gone from the code stays an error (RS0017): a released version had it.
# Usage: eng/public-api.sh
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

for file in src/*/PublicAPI.Unshipped.txt; do
  echo '#nullable enable' >"$file"
done

# Vms and Sharing refer to all other libraries.
for project in Vms Sharing; do
  dotnet build "src/KaslrMt.$project" -c Release --nologo -v quiet -p:TreatWarningsAsErrors=false >>"$log" 2>&1 || { cat "$log" >&2; echo "public-api: the build failed" >&2; exit 4; }
done

for file in src/*/PublicAPI.Unshipped.txt; do
  project=$(basename "$(dirname "$file")")
  sed -nE "s|^.*warning RS0016: Symbol '(.*)' is not part of the declared public API.*/$project\.csproj(::.*)?\]\$|\1|p" "$log" | LC_ALL=C sort -u >>"$file"
  echo "$project: $(($(wc -l <"$file") - 1)) symbols"
done

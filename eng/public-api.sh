#!/usr/bin/env bash
# Brings the libraries' PublicAPI.Unshipped.txt to what the sources declare, after a change of the public API that is meant. The build refuses any other (RS0016, RS0017).
# Usage: eng/public-api.sh
set -euo pipefail
cd "$(dirname "$0")/.."

libraries=(Core Layout Kernels Guests Sharing Tenants Hypervisors Vms)   # each after those that it uses
for library in "${libraries[@]}"; do
  folder=src/KaslrMt.$library
  file=$folder/PublicAPI.Unshipped.txt
  said=$(dotnet build "$folder" -c Release --nologo -v quiet -p:TreatWarningsAsErrors=false -p:BuildProjectReferences=true --no-incremental 2>&1 | grep -F "[$PWD/$folder/" || true)
  new=$(sed -nE "s/.*RS0016: Symbol '(.*)' is not part of the declared public API.*/\1/p" <<<"$said" | sort -u)
  gone=$(sed -nE "s/.*RS0017: Symbol '(.*)' is part of the declared API, but.*/\1/p" <<<"$said" | sort -u)
  [ -n "$new$gone" ] || continue
  {
    echo '#nullable enable'
    { grep -vxF -e '#nullable enable' -f <(printf '%s\n' "${gone:-#nullable enable}") "$file"; printf '%s' "${new:+$new
}"; } | LC_ALL=C sort -u
  } >"$file.new"
  mv "$file.new" "$file"
  echo "==> $library: $(grep -c . <<<"$new" || true) new, $(grep -c . <<<"$gone" || true) gone"
done

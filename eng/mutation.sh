#!/usr/bin/env bash
# Changes KaslrMt.Layout and TenantRules in small ways, one at a time, and counts how many of the changes the tests notice (Stryker).
# It works in a copy, so that no changed assembly stays in a bin folder. Reports: out/mutation/NAME/reports/. Takes long; a loaded machine can make it fail.
# Usage: eng/mutation.sh [layout|tenant-rules]...      Exit code 1 when fewer than 80 % are noticed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 4

declare -A tests=([layout]=tests/KaslrMt.Layout.Tests [tenant-rules]=tests/KaslrMt.Tenants.Tests)
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(layout tenant-rules)
for part in "${parts[@]}"; do
  [ -n "${tests[$part]:-}" ] || { echo "mutation: '$part' is neither layout nor tenant-rules" >&2; exit 2; }
done

out=$PWD/out/mutation
copy=$(mktemp -d) || exit 4
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from - --ignore-failed-read 2>/dev/null | tar --extract --directory "$copy" || exit 4
cd "$copy" || exit 4
dotnet tool restore >/dev/null || { echo "mutation: 'dotnet tool restore' failed" >&2; exit 4; }

code=0
for part in "${parts[@]}"; do
  # Stryker takes a solution in the folder it starts in for the thing to mutate; so it starts in the tests' own.
  (cd "${tests[$part]}" && nice dotnet stryker --config-file "../../eng/mutation/$part.json" --output "$out/$part" --skip-version-check) || code=1
done
exit "$code"

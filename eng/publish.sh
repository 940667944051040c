#!/usr/bin/env bash
# Puts the three programs, native binaries that need no .NET (Native AOT), into out/ or the folder given. Makes each anew only when a source is newer.
# Usage: eng/publish.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-out}
mkdir -p "$out"

say() { printf '==> %s\n' "$*"; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT

for pair in Cli:kaslrmt Agent:kaslrmtd Lab:kaslrmt-lab; do
  project=KaslrMt.${pair%%:*}
  name=${pair##*:}
  if [ -x "$out/$name" ]; then
    newer=$(find src eng/charts.sh eng/charts/package-lock.json Directory.Build.props Directory.Packages.props global.json \
                 -name bin -prune -o -name obj -prune -o -type f -newer "$out/$name" -print -quit)
    if [ -z "$newer" ]; then
      say "$name is up to date in $out/"
      continue
    fi
  fi

  say "Publishing $name to $out/ (Native AOT, about a minute)"
  # Style is checked where the solution is built (test.sh); here it would be compiled with all analyzers a second time. The native compiler's own warnings stay errors.
  if ! dotnet publish "src/$project" -c Release -r linux-x64 -p:RunAnalyzers=false -p:CopyOutputSymbolsToPublishDirectory=false -p:PublishDocumentationFile=false \
         -p:PublishReferencesDocumentationFiles=false -p:DebugType=none --nologo -v quiet -o "$out/.$name" >"$log" 2>&1; then
    cat "$log" >&2
    echo "publish: 'dotnet publish' failed" >&2
    exit 4
  fi

  # A binary is replaced in one step: one that runs goes on with its own.
  mv -f "$out/.$name/libe_sqlite3.so" "$out/libe_sqlite3.so"
  mv -f "$out/.$name/$name" "$out/$name"
  rm -rf "${out:?}/.$name"
  touch "$out/$name"
done

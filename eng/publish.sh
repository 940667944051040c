#!/usr/bin/env bash
# Puts the command, compiled ahead of time (ReadyToRun), into out/ or the folder given. Does nothing when it is newer than all sources.
# Usage: eng/publish.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-out}
command=$out/kaslrmt

say() { printf '==> %s\n' "$*"; }

if [ -x "$command" ]; then
  newer=$(find src eng/charts.sh eng/charts/package-lock.json Directory.Build.props Directory.Packages.props global.json \
               -name bin -prune -o -name obj -prune -o -type f -newer "$command.dll" -print -quit)
  if [ -z "$newer" ]; then
    say "kaslrmt is up to date in $out/"
    exit 0
  fi
fi

say "Publishing kaslrmt to $out/ (ReadyToRun)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! dotnet publish src/KaslrMt.Cli -c Release -r linux-x64 --self-contained false -p:PublishReadyToRun=true \
       -p:CopyOutputSymbolsToPublishDirectory=false -p:PublishDocumentationFile=false -p:PublishReferencesDocumentationFiles=false \
       --nologo -v quiet -o "$out" >"$log" 2>&1; then
  cat "$log" >&2
  echo "publish: 'dotnet publish' failed" >&2
  exit 4
fi

# Unchanged assemblies keep their old times: without this, the check above would publish every time.
touch "$command.dll"

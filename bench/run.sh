#!/usr/bin/env bash
# Publishes the command and runs the benchmarks. Exit code 1 when a target is missed.
# Usage: bench/run.sh [micro|image|command|boot|gate|store|guests|sharing|change|grown|agent]...
set -euo pipefail
cd "$(dirname "$0")/.."
bash eng/publish.sh
exec dotnet run -c Release --project bench/KaslrMt.Bench -- "$@"

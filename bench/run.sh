#!/usr/bin/env bash
# Publishes the command and runs the benchmarks. Exit code 1 when a target is missed.
<<<<<<< HEAD
# Usage: bench/run.sh [micro|image|command|boot|store|guests]...
=======
# Usage: bench/run.sh [micro|image|command|boot|store|change|grown]...
>>>>>>> 202eb53f621705f4a7e8566335111f9f6f5d5e20
set -euo pipefail
cd "$(dirname "$0")/.."
bash eng/publish.sh
exec dotnet run -c Release --project bench/KaslrMt.Bench -- "$@"

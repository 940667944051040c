#!/usr/bin/env bash
# Sets up what it needs (Debian packages, two Debian kernels in a cache, the command in out/), then boots two tenants with two VMs
# each on both kernels and shows which bases they share, that what was intended is what is there, and what it saves: equal pages and
# memory held after the host's KSM (root only), beside VMs without KASLR and with the kernel's own.
# Usage: ./demo.sh [--json]        with --json, standard output holds the report alone
set -euo pipefail
cd "$(dirname "$0")"

{
  bash eng/setup.sh run
  bash eng/kernels.sh 6.1-cloud 6.12-cloud
  bash eng/publish.sh
  printf '==> booting sixteen VMs, two to five seconds each\n'
} >&2
exec out/kaslrmt-lab demo "$@"

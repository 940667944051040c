#!/usr/bin/env bash
# Sets up what the tests need (Debian packages, kernels in a cache), builds without warnings, and runs every test project.
# Usage: ./test.sh [--all]     --all: also the agent under real systemd, in a Debian guest with VMs in it (root; about five minutes, and as many once to build the guest)
# The last line is "N passed, N failed", the sum over all of them. Exit code 0 only if something ran and nothing failed.
set -uo pipefail
cd "$(dirname "$0")" || exit 4

say() { printf '\n==> %s\n' "$*"; }

case ${1:-} in
  --all) all=1 ;;
  '') all=0 ;;
  *) echo "usage: ./test.sh [--all]" >&2; exit 2 ;;
esac

started=$SECONDS
bash eng/setup.sh test || exit 4
bash eng/kernels.sh 6.1-cloud 6.12-cloud 6.1-generic 6.1-rt 6.12-generic 6.12-rt 5.10-cloud 7-cloud || exit 4

say "Building (Release, warnings are errors)"
dotnet build kaslrmt.slnx -c Release --nologo -v quiet || { echo "the build failed" >&2; echo "0 passed, 1 failed"; exit 1; }

# The boot tests run the native binaries, as users have them.
bash eng/publish.sh || { echo "0 passed, 1 failed"; exit 1; }
export KASLRMT_PROGRAMS=$PWD/out
if [ $all = 1 ]; then
  bash eng/nested.sh || exit 4
fi

passed=0
failed=0
for project in tests/*/*Tests.csproj; do
  name=$(basename "$project" .csproj)
  if [ "$name" = KaslrMt.NestedTests ] && [ $all = 0 ]; then
    say "$name: only with --all"
    continue
  fi

  say "$name"
  log=$(mktemp)
  dotnet test "$project" -c Release --no-build --nologo -v quiet --logger "console;verbosity=minimal" 2>&1 \
    | tee "$log" | grep --line-buffered -vE '^ *$|^Test run for|^VSTest version|^A total of|^Starting test'
  code=${PIPESTATUS[0]}
  # The runner's closing line: "Passed!  - Failed:     0, Passed:   110, Skipped:     0, Total:   110, Duration: …"
  read -r bad ok < <(sed -nE 's/^(Passed|Failed)! +- Failed: *([0-9]+), Passed: *([0-9]+),.*/\2 \3/p' "$log" | tail -n 1; echo "0 0")
  rm -f "$log"
  # A runner that dies, or a project in which nothing ran, is a failure of its own.
  if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then
    echo "$name: the test runner ended with code $code" >&2
    bad=1
  elif [ "$ok" -eq 0 ] && [ "$bad" -eq 0 ]; then
    echo "$name: no test ran" >&2
    bad=1
  fi
  passed=$((passed + ok))
  failed=$((failed + bad))
done

say "Done in $((SECONDS - started)) s"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

#!/usr/bin/env bash
# Makes the screenshots of the report that the docs show, in a real browser (Chromium, without a window), from results of experiments.
# Usage: eng/screenshots.sh CURVE REGIONS [MODULES]     CURVE, REGIONS: folders or results.json of 'experiment curve' and 'experiment regions';
#                                                       MODULES: the same of 'experiment modules'
# Result: docs/images/report-{curve,regions,modules,space}.png
set -euo pipefail

[ $# -eq 2 ] || [ $# -eq 3 ] || { echo "usage: eng/screenshots.sh CURVE REGIONS [MODULES]" >&2; exit 2; }
curve=$(realpath "$1") regions=$(realpath "$2") modules=${3:+$(realpath "$3")}
cd "$(dirname "$0")/.."

# In CSS pixels, and bytes.
width=1200
largest=153600

say() { printf '==> %s\n' "$*"; }

bash eng/setup.sh screenshots
bash eng/publish.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p docs/images

# NAME SOURCE SECTION HEIGHT [HIDDEN]: SECTION is shown alone, from its top, HEIGHT pixels of it, without what the selector HIDDEN finds.
shoot() {
  local name=$1 source=$2 section=$3 height=$4 page=$work/$1.html target=docs/images/report-$1.png sandbox=()
  out/kaslrmt-lab report "$source" --output "$page" --force
  # The page's own style stays; what is around the section goes.
  printf '<style>header, nav, footer, section:not(#%s), %s { display: none !important } section#%s { border: 0; margin: 0 }</style>\n' "$section" "${5:-noscript}" "$section" >>"$page"
  [ "$(id -u)" -ne 0 ] || sandbox=(--no-sandbox)
  if ! chromium --headless=new "${sandbox[@]}" --disable-gpu --no-first-run --hide-scrollbars --user-data-dir="$work/browser" \
       --virtual-time-budget=5000 --window-size="$width,$height" --screenshot="$work/$name.png" "file://$page" >"$work/log" 2>&1; then
    tail -n 5 "$work/log" >&2
    echo "screenshots: the browser failed (above are its last lines)" >&2
    exit 4
  fi

  pngquant --force --strip --speed 1 --quality 60-95 --output "$target" "$work/$name.png"
  [ "$(stat -c %s "$target")" -le "$largest" ] || { echo "screenshots: $target is larger than 150 KiB: give it less height" >&2; exit 4; }
  say "$target: $(stat -c %s "$target") bytes"
}

shoot curve "$curve" section-1 1500 .facts
shoot regions "$regions" section-1 1900 '.facts, .frame:has(.plain), .frame:has(.impact) ~ .frame:has(.impact)'
[ -z "$modules" ] || shoot modules "$modules" section-1 1350
shoot space "$curve" section-2 1000

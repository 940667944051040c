#!/usr/bin/env bash
# Fetches the JavaScript library that draws the charts of 'kaslrmt report' (Observable Plot and D3), in the versions and with the digests
# of eng/charts/package-lock.json, and joins it with its licences into one file, which the build embeds. Does nothing when that is there.
# The build calls it by itself.
# Usage: eng/charts.sh
# Result: eng/charts/bundle/library.js
set -euo pipefail
cd "$(dirname "$0")/charts"

bundle=bundle/library.js
recipe=$(cat ../charts.sh package.json package-lock.json | sha256sum | cut -c1-16)
mkdir -p bundle
# Two builds at a time must not fetch into one folder.
exec 9>bundle/lock
flock 9
if [ -s "$bundle" ] && [ "$(cat bundle/recipe 2>/dev/null)" = "$recipe" ]; then
  exit 0
fi

command -v npm >/dev/null || { echo "charts: npm is missing: run eng/setup.sh" >&2; exit 4; }
log=bundle/npm.log
if ! npm ci --ignore-scripts --no-audit --no-fund --prefer-offline >"$log" 2>&1; then
  tail -n 5 "$log" >&2
  echo "charts: 'npm ci' failed (above are its last lines); it needs an npm registry or a cache that holds the packages" >&2
  exit 4
fi

# Plot's file holds the small packages below it, so their licences go along.
{
  echo '/*!'
  echo 'The charts are drawn by these libraries, under these licences:'
  for package in @observablehq/plot d3 interval-tree-1d binary-search-bounds isoformat; do
    version=$(sed -n 's/^ *"version": "\(.*\)".*/\1/p' "node_modules/$package/package.json" | head -n 1)
    printf '\n%s %s\n\n' "$package" "$version"
    cat "node_modules/$package/LICENSE"*
  done
  echo '*/'
  cat node_modules/d3/dist/d3.min.js
  echo
  cat node_modules/@observablehq/plot/dist/plot.umd.min.js
} >bundle/.library.js

# Inside a page neither may end its script element, nor open a comment.
if grep -qiE '</script|<!--' bundle/.library.js; then
  echo "charts: the library cannot be put into a page as it is: it holds '</script' or '<!--'" >&2
  exit 4
fi

mv bundle/.library.js "$bundle"
echo "$recipe" >bundle/recipe

#!/usr/bin/env bash
# The browser that the console's tests drive. Without one, and without the right to install one,
# those tests are skipped and say so; nothing else depends on it.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "no chromium, and no right to install it: the browser tests will be skipped" >&2
    exit 0
fi
echo "Installing chromium for the browser tests"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "chromium could not be installed: the browser tests will be skipped" >&2
fi

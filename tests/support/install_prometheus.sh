#!/usr/bin/env bash
# The Prometheus that metrics of PromQL are tested with. Without one, and without the right to
# install one, those tests are skipped and say so; nothing else depends on it.
set -euo pipefail

command -v prometheus >/dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "no prometheus, and no right to install it: its tests will be skipped" >&2
    exit 0
fi
echo "Installing prometheus for its tests"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# RUNLEVEL=1: the package starts no server of its own.
if ! { apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends prometheus; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "prometheus could not be installed: its tests will be skipped" >&2
fi

#!/usr/bin/env bash
# The load generator of `make bench`. It is asked for, not skipped: without it there is nothing to say.
set -euo pipefail

command -v wrk >/dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "there is no wrk, and no right to install it: apt-get install wrk, then make bench again" >&2
    exit 1
fi
echo "Installing wrk, the load generator"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -y -qq --no-install-recommends wrk >/dev/null

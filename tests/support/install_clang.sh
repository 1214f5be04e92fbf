#!/usr/bin/env bash
# The compiler that brings libFuzzer. Without one, and without the right to install one, fuzzing is
# skipped and says so; nothing else depends on it.
set -euo pipefail

# Debian's packages of a certain version install `clang++-22` and no plain `clang++`.
if compgen -c clang++ | grep -xE 'clang\+\+(-[0-9]+)?' >/dev/null; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "no clang, and no right to install it: fuzzing will be skipped" >&2
    exit 0
fi
echo "Installing clang for fuzzing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The runtime's package carries the version in its name; the compiler of the same number fits.
if ! apt-get update -qq >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "the package lists could not be read: fuzzing will be skipped" >&2
    exit 0
fi
version=$(apt-cache search --names-only '^libclang-rt-[0-9]+-dev$' | sed 's/[^0-9]*\([0-9]*\).*/\1/' | sort -n | tail -1)
if [ -z "$version" ] || ! apt-get install -y -qq --no-install-recommends \
    "clang-$version" "libclang-rt-$version-dev" >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "clang could not be installed: fuzzing will be skipped" >&2
fi

#!/bin/sh
# Puts what is Nereid's own where Triton's container finds it: the router, the Python-based backends that
# are named, each with what they share, and the scripts that start Triton.
set -eu
target=${1:?usage: deploy/place_backends.sh FOLDER [PYTHON-BASED BACKEND ...]}
shift
cd "$(dirname "$0")/.."

mkdir -p "$target/backends/traffic" "$target/scripts"
cp backends/traffic/build/libtriton_traffic.so "$target/backends/traffic/"
for name in "$@"; do
    mkdir -p "$target/backends/$name"
    for folder in backends/python_based "backends/$name"; do
        (cd "$folder" && find . -name '*.py' | tar -cf - -T -) | tar -xf - -C "$target/backends/$name"
    done
done
cp deploy/start_triton.sh deploy/list_backends.sh "$target/scripts/"

#!/bin/sh
# Lists the backends of a Triton, a line `name kind` each, for a node that does not see its folders.
set -eu

for folder in "${1:-/opt/tritonserver/backends}"/*/; do
    name=$(basename "$folder")
    if [ -e "$folder/libtriton_$name.so" ]; then
        echo "$name native"
    elif [ -e "$folder/model.py" ]; then
        echo "$name python"
    fi
done

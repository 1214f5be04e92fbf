#!/usr/bin/env bash
# MLflow's server and client, in an environment of their own: what they need contradicts our pins.
# Nereid is in it by its checkout, as the extra `nereid[mlflow]` brings it to people.
set -euo pipefail
cd "$(dirname "$0")/../.."

home=.venv/mlflow
wanted=$(cat tests/support/mlflow-requirements.txt pyproject.toml | sha256sum)
if [ "$(cat "$home/.installed" 2>/dev/null || true)" = "$wanted" ]; then exit 0; fi
echo "Installing MLflow for its tests (a minute, once)"
[ -x "$home/bin/python" ] || .venv/bin/python -m venv "$home"
pip=("$home/bin/python" -m pip --disable-pip-version-check install --quiet)
"${pip[@]}" -r tests/support/mlflow-requirements.txt
"${pip[@]}" --no-deps -e .
echo "$wanted" >"$home/.installed"

#!/usr/bin/env bash
# Fill a folder with the secrets that docker-compose.yml asks for; what is there already stays.
set -euo pipefail
folder=${1:?usage: deploy/make_secrets.sh FOLDER}

# The folder is closed to others. The files inside are not: they are mounted into containers one
# by one, and the programs there run as users of their own.
mkdir -p "$folder"
chmod 700 "$folder"
for name in secret_key postgres_password broker_password control_key shm_key; do
    if [ ! -s "$folder/$name" ]; then
        python3 -c 'import secrets; print(secrets.token_urlsafe(32), end="")' >"$folder/$name"
        chmod 644 "$folder/$name"
        echo "made $folder/$name"
    fi
done

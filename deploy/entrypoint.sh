#!/bin/sh
# Secrets come as files; the programs read the environment. This is where one becomes the other.
set -eu

secret() {
    if [ -r "/run/secrets/$1" ]; then cat "/run/secrets/$1"; fi
}

if [ -r /run/secrets/secret_key ]; then
    NEREID_SECRET_KEY=$(secret secret_key)
    NEREID_TRITON_CONTROL_KEY=$(secret control_key)
    NEREID_TRITON_SHM_KEY=$(secret shm_key)
    # The passwords are made of letters, digits, "-" and "_": they need no quoting in a URL.
    : "${DATABASE_URL:=postgresql://nereid:$(secret postgres_password)@$POSTGRES_HOST:5432/nereid}"
    : "${CELERY_BROKER_URL:=redis://:$(secret broker_password)@$BROKER_HOST:6379/0}"
    export NEREID_SECRET_KEY NEREID_TRITON_CONTROL_KEY NEREID_TRITON_SHM_KEY
    export DATABASE_URL CELERY_BROKER_URL
fi
exec "$@"

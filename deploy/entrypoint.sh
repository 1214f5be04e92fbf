#!/bin/sh
# Keys are read from the files that variables name (NEREID_SECRET_KEY_FILE, …). Compose's own stores have
# passwords as files, and the programs want addresses: this is where one becomes the other.
set -eu

secret() {
    cat "/run/secrets/$1"
}

# The passwords are made of letters, digits, "-" and "_": they need no quoting in a URL.
if [ -z "${DATABASE_URL:-}${DATABASE_URL_FILE:-}" ] && [ -r /run/secrets/postgres_password ]; then
    DATABASE_URL="postgresql://nereid:$(secret postgres_password)@$POSTGRES_HOST:5432/nereid"
    export DATABASE_URL
fi
if [ -z "${CELERY_BROKER_URL:-}${CELERY_BROKER_URL_FILE:-}" ] && [ -r /run/secrets/broker_password ]; then
    CELERY_BROKER_URL="redis://:$(secret broker_password)@$BROKER_HOST:6379/0"
    export CELERY_BROKER_URL
fi
exec "$@"

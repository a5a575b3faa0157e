#!/bin/sh
# Renews the certificate when it has become old; nginx reads it again by itself.
set -eu

trap 'exit 0' TERM INT
while :; do
    certbot renew --quiet --webroot --webroot-path /var/www/certbot || echo "the certificate was not renewed: next try in 12 hours" >&2
    sleep 43200 &
    wait "$!"
done

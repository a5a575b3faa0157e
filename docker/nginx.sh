#!/bin/sh
# Starts nginx from the template nginx.conf, and has it read renewed certificates. The variables below may be set for tests.
set -eu

: "${ROOT_DOMAIN_NAME:?set it in .env}"
export NGINX_RUN_DIR="${NGINX_RUN_DIR:-/tmp/nginx}"
export NGINX_MIME_TYPES="${NGINX_MIME_TYPES:-/etc/nginx/mime.types}"
export NGINX_ACCESS_LOG="${NGINX_ACCESS_LOG:-/dev/stdout}"
export NGINX_CERTIFICATES="${NGINX_CERTIFICATES:-/etc/letsencrypt/live/$ROOT_DOMAIN_NAME}"
export NGINX_ACME_DIR="${NGINX_ACME_DIR:-/var/www/certbot}"
export NGINX_RESOLVER="${NGINX_RESOLVER:-127.0.0.11}"
export NGINX_HTTP_PORT="${NGINX_HTTP_PORT:-80}"
export NGINX_HTTPS_PORT="${NGINX_HTTPS_PORT:-443}"
export NGINX_HTTPS_SUFFIX="${NGINX_HTTPS_SUFFIX:-}"
export NGINX_HSTS="${NGINX_HSTS:-max-age=31536000}"
export SPI_DASH_UPSTREAM="${SPI_DASH_UPSTREAM:-spi_dash:8050}"
export S3_UPSTREAM="${S3_UPSTREAM:-spi_s3:3900}"
template="${NGINX_TEMPLATE:-/etc/spi/nginx.conf}"
reload_s="${NGINX_RELOAD_S:-21600}"

if [ ! -s "$NGINX_CERTIFICATES/fullchain.pem" ]; then
    echo "there is no certificate in $NGINX_CERTIFICATES: run 'sh deploy.sh prod-init' first" >&2
    exit 1
fi
mkdir -p "$NGINX_RUN_DIR"
# shellcheck disable=SC2016
names=$(grep -o '\${[A-Z0-9_]*}' "$template" | sort -u | tr '\n' ' ')
envsubst "$names" <"$template" >"$NGINX_RUN_DIR/nginx.conf"
nginx -t -q -p "$NGINX_RUN_DIR" -c "$NGINX_RUN_DIR/nginx.conf"
if [ "${1:-}" = check ]; then
    exit 0
fi
(
    while sleep "$reload_s"; do
        kill -HUP "$$" 2>/dev/null || exit 0  # nginx keeps the process id of this script
    done
) &
exec nginx -p "$NGINX_RUN_DIR" -c "$NGINX_RUN_DIR/nginx.conf" -g 'daemon off;'

#!/bin/sh
# Makes a certificate for a domain and its names, for development and tests: sh self-signed.sh DOMAIN FOLDER. Keeps one that lasts.
set -eu

domain=${1:?give the domain}
folder=${2:?give the folder}
if openssl x509 -noout -checkend 604800 -in "$folder/fullchain.pem" >/dev/null 2>&1; then
    exit 0
fi
umask 077
mkdir -p "$folder"
openssl req -x509 -newkey rsa:2048 -nodes -days 90 -keyout "$folder/privkey.pem" -out "$folder/fullchain.pem" \
    -subj "/CN=$domain" -addext "subjectAltName=DNS:$domain,DNS:*.$domain" 2>/dev/null

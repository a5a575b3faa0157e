#!/bin/sh
# Makes a backup every day at BACKUP_AT (UTC). One that fails is tried again after an hour, and the container is unhealthy till then.
set -eu

fine="${BACKUP_STATE:-/tmp/backup-is-fine}"
retry_s="${BACKUP_RETRY_S:-3600}"
child=
trap '[ -z "$child" ] || kill "$child" 2>/dev/null || :; exit 0' TERM INT

wait_for() {
    "$@" &
    child=$!
    wait "$child"
}

seconds_to_go() {
    at=$(date -u -d "$BACKUP_AT" +%s)
    now=$(date -u +%s)
    [ "$at" -gt "$now" ] || at=$((at + 86400))
    echo $((at - now))
}

while [ "${BACKUP_AT:-}" = never ]; do
    touch "$fine"
    wait_for sleep 3600
done
date -u -d "${BACKUP_AT:?set it in .env, as in 02:30}" >/dev/null || {
    echo "BACKUP_AT=$BACKUP_AT is no time of day" >&2
    exit 2
}
case "${BACKUP_FILES:-false}" in
    true) files=--files ;;
    false) files= ;;
    *) echo "BACKUP_FILES=$BACKUP_FILES is neither true nor false" >&2; exit 2 ;;
esac
touch "$fine"
wait_s=$(seconds_to_go)
while :; do
    wait_for sleep "$wait_s"
    # shellcheck disable=SC2086
    if wait_for spi-dash backup --to "${BACKUP_TO:-/backups}" $files --keep "${BACKUP_KEEP:-14}"; then
        touch "$fine"
        wait_s=$(seconds_to_go)
    else
        rm -f "$fine"
        echo "the backup failed: next try in $retry_s s" >&2
        wait_s=$((retry_s + $(od -An -N1 -tu1 /dev/urandom) * retry_s / 36000))  # not at once with another host
    fi
done

#!/bin/sh
# Installs what the tests with real servers and a real browser need, on Debian and its relatives. Says so where it cannot:
# the tests are then skipped and named, which counts as a failure where CI is set.
set -eu

packages=
want() { command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
want mariadbd mariadb-server
want nginx nginx-light
want envsubst gettext-base
want curl curl
want openssl openssl
want chromium "chromium fonts-dejavu-core"
want radosgw "radosgw ceph-mon ceph-osd ceph-common"
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "not installed, and there is no apt-get:$packages"
    exit 0
fi
as_root=
if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "not installed, it needs root:$packages"
        exit 0
    fi
    as_root=sudo
fi
echo "installing$packages"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root apt-get install -y -qq --no-install-recommends $packages >/dev/null

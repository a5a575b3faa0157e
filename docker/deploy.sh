#!/bin/sh
# Deploys and looks after a Spi Dash server: `sh deploy.sh help`. Every verb is the function verb_... below.
set -eu
umask 077
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
env_file=$here/.env
secret_file=$here/.secret.env
overlay=prod
project=
pinned=
check_failed=0
min_free_gb=${SPI_MIN_FREE_GB:-5}
wait_s=${SPI_WAIT_S:-300}
poll_s=${SPI_POLL_S:-3}

verb_help() {
    cat <<'HELP'
usage: sh deploy.sh VERB

first, in this order
  secrets          write .secret.env with strong random values; fills in what is missing, never changes what is there
  check            look for everything that would stop a server here, and say how to mend it; starts nothing
  prod-init        get the certificates for HTTPS from Let's Encrypt (--dry-run: only try)
  prod             check, build or pull the images, bring the tables up to date, start, wait until all is healthy

then
  status           what runs, whether it answers, room on the disk, age of the certificate
  logs [SERVICE]   the last lines that the services wrote, and what they write from now on
  update           backup, new images, new tables, start; goes back to the old ones when anything fails
  mysql-backup     the database as spi_db.dump.<date>.sql.gz in the current directory
  restore FILE     bring back such a file, or a backup folder of `spi-dash backup` (--yes: do not ask)
  mysql-prompt     talk SQL to the database
  spi-dash ...     a command of the program, as in `sh deploy.sh spi-dash check --quick`; alone: which there are

for developers
  devel            the same services on this computer alone, with a certificate of its own making
  test             start them beside everything else with an empty database, ask them something, remove them

Nothing here ever deletes data, but for the database that `restore` replaces: it is dumped to a file first.
SPI_CHECK_SKIP="dns ports clock disk" leaves out checks by name, where they do not fit your network.
HELP
}

say() { printf '%s\n' "$*"; }

refuse() {
    printf 'deploy.sh: %s\n' "$*" >&2
    exit 1
}

problem() {
    printf -- '- %s\n' "$*" >&2
    check_failed=1
}

# --- settings, as docker compose reads them: the environment, then .secret.env, then .env

read_value() {
    [ -r "$2" ] || return 0
    sed -n "s/^[[:space:]]*$1=//p" "$2" | tail -n 1 | tr -d '\r' |
        sed -e "s/^\([^\"'].*\)[[:space:]]#.*/\1/" -e 's/^"\(.*\)"[[:space:]]*$/\1/' -e "s/^'\(.*\)'[[:space:]]*\$/\1/"
}

value() {
    eval "found=\${$1-}"
    [ -n "$found" ] || found=$(read_value "$1" "$secret_file")
    [ -n "$found" ] || found=$(read_value "$1" "$env_file")
    printf '%s' "$found"
}

domain() {
    name=$(value ROOT_DOMAIN_NAME)
    case $name in *[!A-Za-z0-9.-]*) refuse "ROOT_DOMAIN_NAME in .env is no domain name: $name" ;; esac
    printf '%s' "$name"
}

volume_root() {
    root=$(value LOCAL_VOLUME_ROOT)
    printf '%s' "${root:-/opt/sticky-pi-server}"
}

s3_is_local() {
    host=$(value S3_HOST)
    host=${host#*://}
    # shellcheck disable=SC2016  # the file has these letters
    case ${host%%[:/]*} in
        "s3.$(domain)" | 's3.${ROOT_DOMAIN_NAME}' | 's3.$ROOT_DOMAIN_NAME' | spi_s3) return 0 ;;
    esac
    return 1
}

s3_is_wanted() {
    s3_is_local && return
    case $(value S3_HOST),$(value COMPOSE_PROFILES), in ,*s3,*) return 0 ;; esac
    return 1
}

db_is_local() {
    host=$(value MYSQL_HOST)
    [ "${host:-spi_db}" = spi_db ] || [ "$host" = spi_db:3306 ]
}

host_names() {
    say "$(domain)" "api.$(domain)" "webapp.$(domain)" | tr ' ' '\n'
    if s3_is_local; then say "s3.$(domain)"; fi
}

backup_dir() {
    folder=$(value BACKUP_DIR)
    # shellcheck disable=SC2016
    case $folder in '${LOCAL_VOLUME_ROOT}'/*) folder=$(volume_root)/${folder#*/} ;; esac
    printf '%s' "${folder:-$(volume_root)/backups}"
}

certificate() { printf '%s' "$(volume_root)/certbot/conf/live/$(domain)/fullchain.pem"; }

# --- docker

compose() {
    [ -z "$pinned" ] || set -- -f "$pinned" "$@"
    set -- -f "$here/compose.yml" -f "$here/compose.$overlay.yml" "$@"
    if s3_is_local; then set -- --profile s3 "$@"; fi
    [ ! -f "$secret_file" ] || set -- --env-file "$secret_file" "$@"
    [ -z "$project" ] || set -- -p "$project" "$@"
    # Compose does not look into files that it mounts: whose files have changed is made anew by this.
    SPI_MOUNTED=$(cat "$here/../nginx.conf" "$here/nginx.sh" "$here/certbot.sh" "$here/backup.sh" "$here/garage.toml" 2>/dev/null | cksum | tr ' ' -)
    export SPI_MOUNTED
    docker compose --env-file "$env_file" "$@"
}

need_docker() {
    command -v docker >/dev/null 2>&1 || refuse "docker is not installed: see docs/deploy.md, step 3"
    docker compose version >/dev/null 2>&1 || refuse "docker has no compose plugin: install docker-compose-plugin"
    docker info >/dev/null 2>&1 || refuse "docker does not answer: is it started, and are you root or in the group docker?"
}

need_settings() {
    [ -f "$env_file" ] || refuse "there is no $env_file: take it from the repository again (git checkout docker/.env)"
    [ -f "$secret_file" ] || refuse "there is no $secret_file: run 'sh deploy.sh secrets' first"
    need_docker
}

# One deployment at a time: the lock goes when this script ends, however it ends.
lock() {
    exec 9>"$here/.deploy.lock"
    flock -n 9 || refuse "another deploy.sh is at work here: wait until it has finished"
}

# The agreed services that this configuration has.
present() {
    services=$(compose config --services) || return 1
    for service in "$@"; do
        if printf '%s\n' "$services" | grep -qx "$service"; then printf '%s ' "$service"; fi
    done
}

# Per container: service, state, health or "none", exit code, image, id.
containers() {
    ids=$(compose ps -a -q "$@") || return 1
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2086
    docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{.State.ExitCode}} {{.Image}} {{.Id}}' $ids
}

wait_healthy() {
    deadline=$(($(date +%s) + wait_s))
    while :; do
        states=$(containers "$@") || return 1
        bad=$(printf '%s\n' "$states" | awk '
            $2 == "exited" && $4 == 0 && $1 ~ /(migrate|volumes|certificate)$/ { next }
            $2 == "running" && $3 == "starting" && $1 ~ /(certbot|backup)$/ { next }
            $2 == "running" && ($3 == "healthy" || $3 == "none") { next }
            { print $1 " (" $2 ", " $3 ")" }')
        [ -n "$states" ] && [ -z "$bad" ] && return 0
        if [ "$(date +%s)" -ge "$deadline" ]; then
            say "after $wait_s s these are not healthy: $(printf '%s' "${bad:-no container}" | tr '\n' ' ')- see 'sh deploy.sh logs'" >&2
            return 1
        fi
        sleep "$poll_s"
    done
}

# --- secrets

random_hex() { od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'; }

make_secret() {
    case $1 in
        S3_ACCESS_KEY) say "GK$(random_hex 12)" ;; # the form that Garage takes
        S3_HOST) say "s3.$(domain)" ;;
        S3_BUCKET_NAME) say sticky-pi-prod ;;
        ADMIN_EMAIL) say "${ADMIN_EMAIL-}" ;;
        *) random_hex 32 ;;
    esac
}

verb_secrets() {
    lock
    [ -n "$(domain)" ] || refuse "set ROOT_DOMAIN_NAME in $env_file first"
    names="SECRET_API_KEY MYSQL_PASSWORD API_ADMIN_PASSWORD UID_PASSWORD GARAGE_RPC_SECRET ADMIN_EMAIL"
    # The keys of another provider's server cannot be made up.
    if s3_is_wanted; then names="$names S3_HOST S3_BUCKET_NAME S3_ACCESS_KEY S3_PRIVATE_KEY"; fi
    new=$(mktemp "$here/.secret.env.XXXXXX")
    trap 'rm -f "$new"' EXIT
    [ ! -f "$secret_file" ] || cat "$secret_file" >"$new"
    [ ! -s "$new" ] || [ -z "$(tail -c 1 "$new")" ] || echo >>"$new"
    made=
    for name in $names; do
        [ -z "$(read_value "$name" "$secret_file")" ] || continue
        secret=$(make_secret "$name")
        [ -n "$secret" ] || continue
        # Lines without a value go, so that no name stands there twice.
        sed -i "/^[[:space:]]*$name=/d" "$new"
        printf '%s=%s\n' "$name" "$secret" >>"$new"
        made="$made $name"
    done
    for name in ADMIN_EMAIL S3_HOST S3_BUCKET_NAME S3_ACCESS_KEY S3_PRIVATE_KEY; do
        grep -q "^[[:space:]]*$name=" "$new" || printf '%s=\n' "$name" >>"$new"
    done
    if [ -z "$made" ] && cmp -s "$new" "$secret_file"; then
        chmod 600 "$secret_file"
        say "$secret_file has everything already; nothing was changed."
    else
        chmod 600 "$new"
        mv "$new" "$secret_file"
        say "Wrote${made:- empty lines} to $secret_file. Keep a copy in a safe place: backups do not hold it."
    fi
    if [ -z "$(value S3_HOST)" ]; then
        say "Pictures will be kept in files on this host. For an S3 server, fill in the four S3_ lines before 'prod'."
    else
        for name in S3_BUCKET_NAME S3_ACCESS_KEY S3_PRIVATE_KEY; do
            [ -n "$(value "$name")" ] || say "Still yours to fill in: $name in $secret_file."
        done
    fi
    [ -n "$(value ADMIN_EMAIL)" ] || say "Still yours to fill in: ADMIN_EMAIL in $secret_file, for Let's Encrypt."
}

# --- check

skipped() { case " ${SPI_CHECK_SKIP:-} " in *" $1 "*) return 0 ;; esac; return 1; }

check_docker() {
    if ! command -v docker >/dev/null 2>&1; then
        problem "docker is not installed: see docs/deploy.md, step 3"
    elif ! docker compose version >/dev/null 2>&1; then
        problem "docker has no compose plugin: install docker-compose-plugin"
    elif ! docker info >/dev/null 2>&1; then
        problem "docker does not answer: start it (systemctl enable --now docker), and run this as root"
    fi
}

check_settings() {
    case $(domain) in
        '') problem "ROOT_DOMAIN_NAME is not set: write your domain into .env" ;;
        *.example | *.example.*  | example.*) problem "ROOT_DOMAIN_NAME in .env is the example's: write your domain there" ;;
        *.*) ;;
        *) problem "ROOT_DOMAIN_NAME=$(domain) in .env is no full domain name, like stickypi.mylab.org" ;;
    esac
    case $(volume_root) in
        /?*) ;;
        *) problem "LOCAL_VOLUME_ROOT in .env must be a whole path, like /opt/sticky-pi-server" ;;
    esac
    if [ ! -f "$secret_file" ]; then
        problem "there is no $secret_file: run 'sh deploy.sh secrets'"
        return
    fi
    case $(stat -c %a "$secret_file") in
        600 | 400) ;;
        *) problem "others may read $secret_file: chmod 600 $secret_file" ;;
    esac
    wanted=ADMIN_EMAIL
    [ -z "$(value S3_HOST)" ] || wanted="$wanted S3_BUCKET_NAME S3_ACCESS_KEY S3_PRIVATE_KEY"
    for name in $wanted; do
        [ -n "$(value "$name")" ] || problem "$name is empty: write it into .secret.env"
    done
    # shellcheck disable=SC2016
    if grep -v '^[[:space:]]*#' "$secret_file" | grep -v "='.*'" | sed 's/[$]{*ROOT_DOMAIN_NAME}*//' | grep -q '\$'; then
        problem "a value in .secret.env has a \$: write it in single quotes, NAME='...'"
    fi
}

check_password() {
    secret=$(value "$1")
    length=${#secret}
    case $secret in
        '') problem "$1 is missing: run 'sh deploy.sh secrets'"; return ;;
        cfbewif7y8rfy4w3aNIKFW9Yfh89HFN9 | fnwfnoAEVikenAV | cfweavb87eabv8uehabv98hwAW7 | R3ad_0nly | *[Cc]hange*[Mm]e* | *'<'*'>'* | *[Pp]assword*)
            problem "$1 is the value of a template: write one of your own into .secret.env, or delete the line and run 'sh deploy.sh secrets'"
            return ;;
    esac
    if [ "$length" -le "$2" ]; then
        problem "$1 has $length characters: it needs more than $2 (delete the line and run 'sh deploy.sh secrets')"
    elif [ "$(printf '%s' "$secret" | fold -w 1 | sort -u | wc -l)" -lt 4 ]; then
        problem "$1 repeats too few characters: delete the line and run 'sh deploy.sh secrets'"
    fi
}

check_secrets() {
    [ -f "$secret_file" ] || return 0
    check_password SECRET_API_KEY 15
    for name in MYSQL_PASSWORD API_ADMIN_PASSWORD UID_PASSWORD; do check_password "$name" 10; done
    ! s3_is_local || { check_password S3_PRIVATE_KEY 15; check_password GARAGE_RPC_SECRET 63; }
    twice=$(for name in SECRET_API_KEY MYSQL_PASSWORD API_ADMIN_PASSWORD UID_PASSWORD; do say "$(value "$name")"; done | grep . | sort | uniq -d)
    [ -z "$twice" ] || problem "two of the secrets are the same: give each its own value"
}

check_names() {
    [ -n "$(domain)" ] || return 0
    for name in $(host_names); do
        getent hosts "$name" >/dev/null 2>&1 || problem "$name is not known to the DNS: add an A record for it, and wait until it is seen"
    done
}

port_is_taken() { [ -n "$(ss -H -l -t -n "sport = :$1" 2>/dev/null)" ]; }

check_ports() {
    for port in 80 443; do
        port_is_taken "$port" || continue
        [ -z "$(docker ps -q --filter label=com.docker.compose.service=spi_nginx --filter "publish=$port" 2>/dev/null)" ] || continue
        problem "another program has port $port: find it with 'ss -ltnp sport = :$port', stop and disable it"
    done
}

check_disk() {
    place=$(volume_root)
    while [ ! -d "$place" ] && [ "$place" != / ]; do place=$(dirname "$place"); done
    [ -w "$place" ] || problem "you may not write to $place: run this as root, or change LOCAL_VOLUME_ROOT in .env"
    free_kb=$(df -P -k "$place" | awk 'NR == 2 { print $4 }')
    [ "${free_kb:-0}" -ge $((min_free_gb * 1048576)) ] ||
        problem "$place has $((${free_kb:-0} / 1048576)) GB of room, less than $min_free_gb GB: make room, or choose another LOCAL_VOLUME_ROOT"
}

check_clock() {
    if [ "$(date +%Y)" -lt 2026 ] || [ "$(timedatectl show -p NTPSynchronized --value 2>/dev/null)" = no ]; then
        problem "the clock ($(date)) is not kept by a time server: timedatectl set-ntp true, and wait a minute"
    fi
}

run_checks() {
    [ -f "$env_file" ] || refuse "there is no $env_file: take it from the repository again (git checkout docker/.env)"
    check_docker
    check_settings
    check_secrets
    skipped dns || check_names
    skipped ports || check_ports
    skipped disk || check_disk
    skipped clock || check_clock
    [ "$check_failed" = 0 ] || refuse "mend the above, then try again; nothing was started or changed"
}

verb_check() {
    run_checks
    say "Everything is ready for $(domain)."
}

# --- starting

verb_prod_init() {
    lock
    run_checks
    set -- certonly --cert-name "$(domain)" --expand --keep-until-expiring --non-interactive --agree-tos \
        --email "$(value ADMIN_EMAIL)" "$@"
    for name in $(host_names); do set -- "$@" -d "$name"; done
    if getent hosts "www.$(domain)" >/dev/null 2>&1; then set -- "$@" -d "www.$(domain)"; fi
    say "Asking Let's Encrypt for certificates of $(host_names | tr '\n' ' ')"
    if [ -n "$(compose ps -q --status running spi_nginx)" ]; then
        compose run --rm --no-deps --entrypoint certbot spi_certbot "$@" --webroot -w /var/www/certbot || no_certificate
        compose exec -T spi_nginx nginx -s reload -p /tmp/nginx -c /tmp/nginx/nginx.conf
    else
        compose run --rm --no-deps -p 80:80 --entrypoint certbot spi_certbot "$@" --standalone || no_certificate
    fi
    case " $* " in
        *" --dry-run "*) say "The trial went well; there is no certificate yet. Next: sh deploy.sh prod-init" ;;
        *) say "The certificates are there and are renewed by themselves. Next: sh deploy.sh prod" ;;
    esac
}

no_certificate() {
    refuse "there is no certificate: port 80 of this host must be open to the internet under all those names; try with --dry-run until it works, because Let's Encrypt allows five failures an hour"
}

need_certificate() {
    [ -s "$(certificate)" ] || refuse "there is no certificate in $(dirname "$(certificate)"): run 'sh deploy.sh prod-init' first"
    command -v openssl >/dev/null 2>&1 || return 0
    for name in $(host_names); do
        case $(openssl x509 -noout -checkhost "$name" -in "$(certificate)" 2>/dev/null) in
            *NOT*) refuse "the certificate is not for $name: run 'sh deploy.sh prod-init' again" ;;
        esac
    done
}

make_images() {
    compose pull --ignore-buildable && compose build --pull
}

migrate() { compose run --rm -T spi_migrate; }

verb_prod() {
    lock
    run_checks
    need_certificate
    say "Building and pulling the images: the first time takes a while."
    make_images || refuse "an image could not be made, see above; what ran before still runs"
    migrate || refuse "the tables could not be brought up to date, see above; what ran before still runs"
    up "$@" || refuse "not everything could be started, see above and 'sh deploy.sh status'"
    wait_healthy || refuse "the server is not healthy"
    say "Running: https://webapp.$(domain) and https://api.$(domain)"
}

verb_devel() {
    [ ! -s "$(certificate)" ] || refuse "a production server lives in $(volume_root): give devel another LOCAL_VOLUME_ROOT and another host"
    overlay=devel
    need_settings
    lock
    compose up -d --build || refuse "not everything could be started, see above"
    wait_healthy || refuse "the server is not healthy"
    compose ps
    say "Running: https://webapp.$(value DEVEL_DOMAIN_NAME):$(value DEVEL_HTTPS_PORT) (browsers warn of its certificate)"
}

verb_test() {
    overlay=devel
    project=spi_dash_test
    need_settings
    lock
    LOCAL_VOLUME_ROOT=$(mktemp -d)
    BACKUP_DIR=$LOCAL_VOLUME_ROOT/backups
    # Addresses and ports beside those of a server that runs here; never its database or its bucket.
    SPI_FRONT_SUBNET=172.29.84.0/24 SPI_FRONT_RANGE=172.29.84.128/25 SPI_TRUSTED_PROXY=172.29.84.10
    DEVEL_HTTP_PORT=18080 DEVEL_HTTPS_PORT=18443
    export LOCAL_VOLUME_ROOT BACKUP_DIR SPI_FRONT_SUBNET SPI_FRONT_RANGE SPI_TRUSTED_PROXY DEVEL_HTTP_PORT DEVEL_HTTPS_PORT
    pinned=$LOCAL_VOLUME_ROOT/test.yml
    for service in spi_dash spi_migrate; do
        printf '  %s:\n    environment: {MYSQL_HOST: spi_db, S3_HOST: ""}\n' "$service"
    done | sed '1i services:' >"$pinned"
    trap 'compose down --remove-orphans; rm -rf "$LOCAL_VOLUME_ROOT"' EXIT
    compose up -d --build || refuse "not everything could be started, see above"
    wait_healthy || { compose logs --tail 50; refuse "the test failed: not healthy"; }
    ask_token || refuse "the test failed: the admin gets no token"
    say "The test passed: all services are healthy, and the admin gets a token."
}

# Inside the container, so that the password is in no list of processes.
ask_token() {
    compose exec -T spi_dash python3 -c 'import base64, os, urllib.request as u
login = ":".join((os.environ.get("API_ADMIN_NAME") or "admin", os.environ["API_ADMIN_PASSWORD"]))
header = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
u.urlopen(u.Request("http://127.0.0.1:8050/get_token", b"", header), timeout=30)'
}

verb_status() {
    need_settings
    compose ps
    failed=0
    if compose exec -T spi_dash python3 -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:8050/readyz", timeout=15)' >/dev/null 2>&1; then
        say "ready: yes, database and storage answer"
    else
        say "ready: NO - see 'sh deploy.sh logs spi_dash'"
        failed=1
    fi
    say "disk: $(df -P -h "$(volume_root)" 2>/dev/null | awk 'NR == 2 { print $4 " free of " $2 }') in $(volume_root)"
    if [ -s "$(certificate)" ] && command -v openssl >/dev/null 2>&1; then
        say "certificate: until $(openssl x509 -noout -enddate -in "$(certificate)" | cut -d= -f2)"
    fi
    target=$(value BACKUP_TO)
    case $target in
        s3://*) say "backups: in $target; 'sh deploy.sh spi-dash backup --to $target --check' reads the newest"; return "$failed" ;;
    esac
    newest=$(find "$(backup_dir)" -maxdepth 2 -name manifest.json 2>/dev/null | sort | tail -n 1)
    [ -z "$newest" ] || newest=$(basename "$(dirname "$newest")")
    say "newest backup: ${newest:-none}"
    return "$failed"
}

verb_logs() {
    need_settings
    if [ $# -gt 0 ] && [ -z "$(present "$1")" ]; then
        refuse "there is no service $1; there are: $(compose config --services | tr '\n' ' ')"
    fi
    compose logs --tail 200 --follow "$@"
}

# A container of its own, beside the servers, with all that they have and the folder of backups.
verb_spi_dash() {
    need_settings
    if [ ! -t 0 ]; then set -- -T --entrypoint spi-dash spi_backup "$@"; else set -- --entrypoint spi-dash spi_backup "$@"; fi
    compose run --rm --no-deps "$@"
}

# --- the database

port_of() { case $1 in *:*) printf '%s' "${1##*:}" ;; *) printf 3306 ;; esac; }

# Runs a shell line where MariaDB's client is. The password stays in the container's environment. TLS is used where the
# database has it, as by the server; newer clients would insist on it.
in_db() {
    # shellcheck disable=SC2016
    login='export MYSQL_PWD="${MYSQL_PASSWORD:-$MARIADB_PASSWORD}"; tls=--skip-ssl-verify-server-cert user=${MYSQL_USER:-$MARIADB_USER} db=${MYSQL_DATABASE:-$MARIADB_DATABASE} host=${SPI_DB_HOST:-localhost}; '
    if db_is_local; then
        compose exec -T spi_db sh -c "$login$1"
    else
        host=$(value MYSQL_HOST)
        image=$(compose config --images spi_db | head -n 1)
        # A container of its own: the services' network of the database has no way out.
        MYSQL_PASSWORD=$(value MYSQL_PASSWORD) MYSQL_USER=$(value MYSQL_USER) MYSQL_DATABASE=$(value MYSQL_DATABASE) \
            SPI_DB_HOST=${host%%:*} MYSQL_TCP_PORT=$(port_of "$host") \
            docker run --rm -i -e MYSQL_PASSWORD -e MYSQL_USER -e MYSQL_DATABASE -e SPI_DB_HOST -e MYSQL_TCP_PORT \
            --entrypoint sh "$image" -c "$login$1"
    fi
}

# shellcheck disable=SC2016
sql() { in_db 'exec mariadb $tls -h "$host" -u "$user" --default-character-set=utf8mb4 -N -B "$db"'; }

start_db() {
    db_is_local || return 0
    compose up -d spi_db && wait_healthy spi_db
}

verb_mysql_prompt() {
    need_settings
    db_is_local || refuse "the database is on $(value MYSQL_HOST): use its own client"
    # shellcheck disable=SC2016
    compose exec spi_db sh -c 'MYSQL_PWD=${MYSQL_PASSWORD:-$MARIADB_PASSWORD} exec mariadb -u "${MYSQL_USER:-$MARIADB_USER}" "${MYSQL_DATABASE:-$MARIADB_DATABASE}"'
}

unpack() { case $1 in *.gz) gzip -dc "$1" ;; *) cat "$1" ;; esac; }

# Whole, and written to the end: a dump that was cut says so nowhere else.
is_whole() {
    case $1 in *.gz) gzip -t "$1" 2>/dev/null || return 1 ;; esac
    unpack "$1" | tail -n 1 | grep -q '^-- Dump completed'
}

# Writes FILE, which appears only when it is whole.
dump_to() {
    part=${1%.sql.gz}.part.sql.gz
    # shellcheck disable=SC2016
    line='exec mariadb-dump $tls -h "$host" -u "$user" --single-transaction --skip-add-locks --quick --triggers --hex-blob --no-tablespaces --default-character-set=utf8mb4 "$db"'
    { in_db "$line" && : >"$part.done"; } | gzip >"$part"
    if [ -e "$part.done" ] && is_whole "$part" && sync "$part" && mv "$part" "$1"; then
        rm -f "$part.done"
        return 0
    fi
    rm -f "$part" "$part.done"
    return 1
}

# A name in the folder $1 that is not taken, so that an older dump is never replaced.
dump_name() {
    name=$1/spi_db.dump.$(date +%Y-%m-%d).sql.gz
    [ ! -e "$name" ] || name=$1/spi_db.dump.$(date +%Y-%m-%dT%H%M%S).sql.gz
    printf '%s' "$name"
}

verb_mysql_backup() {
    need_settings
    file=$(dump_name "$PWD")
    dump_to "$file" || refuse "the database could not be dumped, see above; nothing was left behind"
    say "Wrote $file ($(du -h "$file" | cut -f 1)). Copy it to another machine: it holds the accounts, and no pictures."
}

tables_found() { say 'SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE();' | sql; }

# A server refuses to start on a database that has the table of the first line.
load_dump() {
    # shellcheck disable=SC2016
    in_db 'exec mariadb $tls -h "$host" -u "$user" -e "CREATE DATABASE IF NOT EXISTS \`$db\`"' </dev/null || return 1
    found=$(say 'SELECT DATABASE(), default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = DATABASE();' | sql) || return 1
    # shellcheck disable=SC2086
    set -- "$1" $found
    [ $# -eq 4 ] || return 1
    {
        say "DROP DATABASE \`$2\`; CREATE DATABASE \`$2\` CHARACTER SET $3 COLLATE $4; USE \`$2\`;"
        say 'CREATE TABLE spi_restore_unfinished (x INT);'
        # Triggers become ours: the account that made them may have had another name. Locks need a right of their own.
        unpack "$1" | sed -e '/^\(LOCK TABLES .* WRITE\|UNLOCK TABLES\);$/d' -e 's,^/\*!50003 CREATE\*/ /\*!50017 DEFINER=[^*]*\*/,/*!50003 CREATE*/,' -e '${/^-- Dump completed/!q1}' &&
            say 'DROP TABLE spi_restore_unfinished;'
    } | sql || return 1
    left=$(say "SHOW TABLES LIKE 'spi_restore_unfinished';" | sql) || return 1
    [ -z "$left" ]
}

# Brings back a folder or bucket of `spi-dash backup`.
load_backup() {
    compose run --rm -T spi_volumes || return 1
    # Our own S3 server is reached through nginx.
    if s3_is_local; then compose up -d --no-deps spi_s3 spi_nginx || return 1; fi
    case $1 in
        s3://*) compose run --rm --no-deps -T spi_dash restore "$1" --replace --yes; return ;;
    esac
    folder=$(cd "$1" && pwd)
    inside=/restore
    if [ -f "$folder/manifest.json" ]; then
        inside=/restore/$(basename "$folder")
        folder=$(dirname "$folder")
    fi
    compose run --rm --no-deps -T -v "$folder:/restore:ro" spi_dash restore "$inside" --replace --yes
}

confirm() {
    say "The database has tables already: $1 takes their place."
    printf 'Type "replace" to go on: '
    answer=
    read -r answer || :
    [ "$answer" = replace ] || refuse "nothing was changed"
}

read_restore_options() {
    source='' sure=0 safety=1
    for option in "$@"; do
        case $option in
            --yes) sure=1 ;;
            --no-backup) safety=0 ;;
            -*) refuse "restore knows --yes and --no-backup, not $option" ;;
            *) [ -z "$source" ] || refuse "restore takes one file"; source=$option ;;
        esac
    done
    [ -n "$source" ] || refuse "say which: sh deploy.sh restore spi_db.dump.2026-11-23.sql.gz"
}

check_source() {
    case $1 in s3://*) return ;; esac
    if [ -d "$1" ]; then
        [ -n "$(find "$1" -maxdepth 2 -name manifest.json)" ] || refuse "$1 holds no backup: there is no manifest.json in it"
    elif [ ! -r "$1" ]; then
        refuse "there is no file $1, or you may not read it"
    elif ! is_whole "$1"; then
        refuse "$1 is not whole: it is damaged, was cut, or is no dump of a database; nothing was changed"
    fi
}

verb_restore() {
    read_restore_options "$@"
    check_source "$source"
    need_settings
    lock
    if [ -z "$(containers)" ]; then make_images || refuse "an image could not be made, see above"; fi
    start_db || refuse "the database does not start: see 'sh deploy.sh logs spi_db'"
    tables=$(tables_found) || refuse "the database does not answer: see 'sh deploy.sh logs spi_db'"
    [ "$tables" = 0 ] || [ "$sure" = 1 ] || confirm "$source"
    stop_servers || refuse "the servers could not be stopped; nothing was changed"
    if [ "$tables" != 0 ] && [ "$safety" = 1 ]; then
        before=$(dump_name "$PWD")
        dump_to "$before" || refuse "what is there now could not be dumped first: mend that, or give --no-backup; then 'sh deploy.sh prod'"
        say "What was there is in $before."
    fi
    if [ -d "$source" ] || [ "${source#s3://}" != "$source" ]; then load_backup "$source"; else load_dump "$source"; fi ||
        refuse "the restore did not finish, and no server starts on half a database: run it again"
    migrate || refuse "restored, but the tables could not be brought up to date, see above"
    up || refuse "restored, but not everything could be started: see 'sh deploy.sh status'"
    wait_healthy || refuse "restored, but the server is not healthy"
    say "Restored $source. Pictures that came after it are taken up again by 'sh deploy.sh spi-dash check --repair', see docs/operations.md."
}

# --- update

# As many as there are, where they are several.
scale_of() {
    for service in "$@"; do
        number=$(compose ps -a -q "$service" 2>/dev/null | grep -c .) || :
        [ "${number:-0}" -le 1 ] || printf -- '--scale %s=%s ' "$service" "$number"
    done
}

up() {
    # shellcheck disable=SC2046
    compose up -d $(scale_of spi_dash spi_uid) "$@"
}

# nginx stays, and tells devices to try again later.
stop_servers() {
    running=$(present spi_dash spi_uid spi_backup) || return 1
    # shellcheck disable=SC2086
    compose stop $running
}

# Lines for docker compose that name the images of now by their ids; not the database's, which may not go back.
pin_images() {
    containers >"$1.list" || return 1
    awk '
        $1 == "spi_db" || seen[$1]++ { next }
        { image[$1] = $5 }
        END {
            if (!("spi_dash" in image)) exit 1
            if (!("spi_migrate" in image)) image["spi_migrate"] = image["spi_dash"]
            print "services:"
            for (name in image) printf "  %s:\n    image: \"%s\"\n    pull_policy: never\n", name, image[name]
        }' "$1.list" >"$1"
}

# A name for each of them, so that nothing tidies them away.
keep_images() {
    while read -r service _ _ _ image _; do
        docker tag "$image" "spi-dash-before-update/$service:latest" || return 1
    done <"$1.list"
}

nginx_id() { awk '$1 == "spi_nginx" { print $6 }'; }

roll_back() {
    trap '' INT TERM HUP
    say "The update failed: $1. Going back to what was before." >&2
    compose logs --no-color --tail 40 spi_dash >&2 || :
    stop_servers || :
    pinned=$pins
    # nginx keeps the settings of before, while it is the container of before.
    services=
    if [ "$(containers spi_nginx | nginx_id)" = "$(nginx_id <"$pins.list")" ]; then services=$(present spi_dash spi_uid spi_backup); fi
    if [ "$changed" = 1 ] && ! load_dump "$file"; then
        refuse "the database could not be brought back. It is in $file; the images are spi-dash-before-update/*. Run 'sh deploy.sh restore $file' when the database answers"
    fi
    # shellcheck disable=SC2086
    if up --no-build $services && wait_healthy; then
        refuse "the server runs as before the update. Check out the version that you came from (git checkout) before the next 'prod', and report what is above"
    fi
    refuse "the old server is not healthy either: see 'sh deploy.sh status'. The database of before is in $file"
}

verb_update() {
    lock
    run_checks
    need_certificate
    work=$(mktemp -d)
    pins=$work/pins.yml
    trap 'rm -rf "$work"' EXIT
    pin_images "$pins" || refuse "no server runs here: use 'sh deploy.sh prod'"
    keep_images "$pins" || refuse "the images of now could not be kept; nothing was changed"
    say "Building and pulling the new images; the server goes on meanwhile."
    make_images || refuse "an image could not be made, see above; nothing was changed"
    mkdir -p "$(volume_root)/dumps"
    file=$(dump_name "$(volume_root)/dumps")
    changed=0
    say "From here on devices are told to try again later."
    trap 'roll_back "it was interrupted"' INT TERM HUP
    stop_servers || roll_back "the servers could not be stopped"
    start_db || roll_back "the database does not start"
    dump_to "$file" || roll_back "the database could not be dumped"
    changed=1
    migrate || roll_back "the tables could not be brought up to date"
    # shellcheck disable=SC2046
    { compose up -d $(scale_of spi_dash) spi_dash && wait_healthy spi_dash; } || roll_back "the new server is not healthy"
    { up && wait_healthy; } || roll_back "not all services are healthy"
    trap - INT TERM HUP
    say "Updated. The database of before is in $file: delete it when you are content."
}

verb=${1:-help}
[ $# -eq 0 ] || shift
case $verb in
    help | -h | --help) verb_help ;;
    secrets | check | prod | devel | test | status | logs | update | restore) "verb_$verb" "$@" ;;
    prod-init) verb_prod_init "$@" ;;
    mysql-prompt) verb_mysql_prompt ;;
    mysql-backup) verb_mysql_backup ;;
    spi-dash) verb_spi_dash "$@" ;;
    *) refuse "there is no verb $verb: see 'sh deploy.sh help'" ;;
esac

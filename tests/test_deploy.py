"""docker/deploy.sh, run with a docker on its path that writes down what it is asked and answers from files."""

import gzip
import re
import shutil
import subprocess

import pytest
from deploy_host import DUMP, SCRIPT, STATES, Host

DEVEL = {"DEVEL_DOMAIN_NAME": "spi.localhost", "DEVEL_HTTP_PORT": 8080, "DEVEL_HTTPS_PORT": 8443}

GONE_BACK = r"-f \S+pins.yml up -d --no-build spi_dash spi_uid spi_backup *"


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def values(path):
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def test_help_names_every_verb_and_others_are_refused(host):
    text = host.run("help").stdout
    assert text == host.run().stdout
    verbs = (
        "secrets",
        "check",
        "prod-init",
        "prod",
        "devel",
        "test",
        "mysql-prompt",
        "mysql-backup",
        "restore",
        "spi-dash",
    )
    for verb in (*verbs, "status", "logs", "update"):
        assert f"\n  {verb} " in text
    assert "no verb down" in host.refused("down")


def test_secrets_are_strong_private_and_never_overwritten(host):
    assert host.run("secrets").returncode == 0
    first = host.secrets.read_text()
    made = values(host.secrets)
    assert host.secrets.stat().st_mode & 0o777 == 0o600
    for name in ("SECRET_API_KEY", "MYSQL_PASSWORD", "API_ADMIN_PASSWORD", "UID_PASSWORD", "GARAGE_RPC_SECRET"):
        assert re.fullmatch("[0-9a-f]{64}", made[name])
    assert len({value for value in made.values() if value}) == 5
    done = host.run("secrets")
    assert done.returncode == 0 and host.secrets.read_text() == first
    assert "nothing was changed" in done.stdout and made["UID_PASSWORD"] not in done.stdout


def test_secrets_fill_in_only_what_is_missing(host):
    host.secrets.write_text("# ours\nUID_PASSWORD='correct horse $taple'\nMYSQL_PASSWORD=\nOTHER=1")
    host.secrets.chmod(0o644)
    assert host.run("secrets", ADMIN_EMAIL="a@b.org").returncode == 0
    text = host.secrets.read_text()
    assert text.startswith("# ours\nUID_PASSWORD='correct horse $taple'\nOTHER=1\n")
    assert text.count("MYSQL_PASSWORD=") == 1 and len(values(host.secrets)["MYSQL_PASSWORD"]) == 64
    assert values(host.secrets)["ADMIN_EMAIL"] == "a@b.org"
    assert host.secrets.stat().st_mode & 0o777 == 0o600


def test_keys_are_made_for_our_own_s3_server_only(host):
    host.secrets.write_text("S3_HOST=s3.${ROOT_DOMAIN_NAME}\n")
    host.run("secrets")
    assert re.fullmatch("GK[0-9a-f]{24}", values(host.secrets)["S3_ACCESS_KEY"])
    host.secrets.write_text("S3_HOST=s3.provider.net\n")
    assert "S3_ACCESS_KEY" in host.run("secrets").stdout
    assert values(host.secrets)["S3_ACCESS_KEY"] == ""


def test_check_is_content_and_starts_nothing(host):
    done = host.ready().run("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert host.changes() == []


def test_check_names_everything_that_is_wrong_at_once(host):
    host.ready()
    text = host.secrets.read_text().replace("UID_PASSWORD=", "UID_PASSWORD=short #")
    text = re.sub("API_ADMIN_PASSWORD=.*", "API_ADMIN_PASSWORD=change-me-please", text)
    text = re.sub("MYSQL_PASSWORD=.*", "MYSQL_PASSWORD=aaaaaaaaaaaaaaa", text)
    host.secrets.write_text(text + "S3_HOST=s3.provider.net\nX=a$b\n")
    host.secrets.chmod(0o640)
    for name, answer in {"unknown": "api.traps.mylab.org\n", "ports": "", "free": "1000\n", "clock": "no\n"}.items():
        host.answer(name, answer)
    said = host.refused("check")
    for expected in (
        "chmod 600",
        "UID_PASSWORD has 5 characters",
        "API_ADMIN_PASSWORD is the value of a template",
        "MYSQL_PASSWORD repeats",
        "S3_ACCESS_KEY is empty",
        "single quotes",
        "api.traps.mylab.org is not known",
        "port 80",
        "port 443",
        "less than 5 GB",
        "set-ntp",
        "nothing was started",
    ):
        assert expected in said
    assert "webapp.traps.mylab.org" not in said and "aaaaaa" not in said
    less = host.refused("check", SPI_CHECK_SKIP="dns ports disk clock")
    assert "port 80" not in less and "set-ntp" not in less and "chmod 600" in less


def test_check_refuses_the_domain_of_the_template(host):
    host.write(ROOT_DOMAIN_NAME="example.org", LOCAL_VOLUME_ROOT="data")
    said = host.refused("check")
    assert "write your domain" in said and "whole path" in said and "sh deploy.sh secrets" in said


def test_certificates_are_asked_for_every_name(host):
    host.ready()
    host.secrets.write_text(host.secrets.read_text().replace("S3_HOST=\n", "S3_HOST=s3.traps.mylab.org\n"))
    host.run("secrets")
    host.answer("unknown", "www.traps.mylab.org\n")
    assert host.run("prod-init").returncode == 0
    [call] = host.changes()
    for name in ("traps", "api.traps", "webapp.traps", "s3.traps"):
        assert f" -d {name}.mylab.org" in call
    assert "www." not in call and "--standalone" in call and "--email lab@mylab.org" in call


def test_a_trial_of_certificates_promises_none(host):
    said = host.ready().run("prod-init", "--dry-run").stdout
    assert "there is no certificate yet" in said and "Next: sh deploy.sh prod-init\n" in said


def test_a_certificate_for_other_names_is_refused(host):
    folder = host.ready().data / "certbot/conf/live/traps.mylab.org"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=t -keyout key.pem"
    names = "subjectAltName=DNS:traps.mylab.org,DNS:api.traps.mylab.org,DNS:webapp.traps.mylab.org"
    subprocess.run([*make.split(), "-out", "fullchain.pem", "-addext", names], cwd=folder, check=True)
    assert host.run("prod").returncode == 0
    host.secrets.write_text(host.secrets.read_text().replace("S3_HOST=\n", "S3_HOST=s3.traps.mylab.org\n"))
    host.run("secrets")
    assert "is not for s3.traps.mylab.org: run 'sh deploy.sh prod-init' again" in host.refused("prod")


def test_prod_goes_step_by_step(host):
    done = host.ready().run("prod")
    assert done.returncode == 0, done.stderr
    steps = ["pull --ignore-buildable", "build --pull", "run --rm -T spi_migrate", "up -d"]
    assert host.changes() == steps
    assert "https://webapp.traps.mylab.org" in done.stdout
    secrets = [value for value in values(host.secrets).values() if len(value) > 30]
    assert not any(value in call for value in secrets for call in (host.fake / "calls").read_text().splitlines())


def test_prod_starts_nothing_without_certificate_or_tables(host):
    host.ready()
    shutil.rmtree(host.data / "certbot")
    assert "prod-init" in host.refused("prod") and host.changes() == []
    (host.data / "certbot/conf/live/traps.mylab.org").mkdir(parents=True)
    (host.data / "certbot/conf/live/traps.mylab.org/fullchain.pem").write_text("x")
    host.answer("fail", "spi_migrate")
    assert "what ran before still runs" in host.refused("prod")
    assert "up -d" not in host.changes()


def test_prod_says_who_is_not_healthy_and_keeps_the_number_of_detectors(host):
    host.ready().answer("states", STATES.replace("spi_dash running healthy", "spi_dash running unhealthy"))
    host.answer("detectors", "7\n8\n9\n")
    assert "spi_dash (running, unhealthy)" in host.refused("prod")
    assert host.changes()[-1] == "up -d --scale spi_uid=3"


def test_a_backup_is_whole_private_and_replaces_none(host):
    host.ready()
    assert host.run("mysql-backup").returncode == 0 == host.run("mysql-backup").returncode
    first, second = sorted(host.cwd.iterdir(), key=lambda path: len(path.name))
    assert re.fullmatch(r"spi_db\.dump\.\d{4}-\d\d-\d\d\.sql\.gz", first.name) and second.name.startswith(
        "spi_db.dump."
    )
    assert gzip.decompress(first.read_bytes()).decode() == DUMP
    assert first.stat().st_mode & 0o777 == 0o600
    assert any("--single-transaction" in call for call in host.calls())


@pytest.mark.parametrize("how", ["cut", "failed"])
def test_half_a_backup_is_none(host, how):
    host.ready()
    host.answer(*(("dump", DUMP[:40]) if how == "cut" else ("fail", "mariadb-dump")))
    assert "nothing was left behind" in host.refused("mysql-backup")
    assert list(host.cwd.iterdir()) == []


def test_a_managed_database_gets_its_password_unseen(host):
    host.write(ROOT_DOMAIN_NAME="a.org", LOCAL_VOLUME_ROOT=host.data, MYSQL_HOST="db.net:3307", MYSQL_USER="u")
    assert host.ready().run("mysql-backup").returncode == 0
    [call] = [call for call in host.calls() if "mariadb-dump" in call]
    assert call.startswith("run --rm -i -e MYSQL_PASSWORD ") and values(host.secrets)["MYSQL_PASSWORD"] not in call
    assert "its own client" in host.refused("mysql-prompt")


def packed(host, text=DUMP):
    path = host.cwd / "old.sql.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path.name


def test_restore_refuses_what_is_no_whole_dump(host):
    host.ready()
    assert "say which" in host.refused("restore")
    assert "no file" in host.refused("restore", "away.sql.gz")
    assert "not whole" in host.refused("restore", packed(host, DUMP[:30]))
    (host.cwd / "cut.sql.gz").write_bytes(gzip.compress(DUMP.encode())[:-9])
    assert "not whole" in host.refused("restore", "cut.sql.gz")
    assert "no backup" in host.refused("restore", str(host.data))
    assert host.changes() == []


@pytest.mark.parametrize("typed", ["", "yes\n"])
def test_restore_asks_before_it_replaces_tables(host, typed):
    host.ready().answer("tables", "12\n")
    assert "nothing was changed" in host.refused("restore", packed(host), typed=typed)
    assert not any(call.startswith("stop") for call in host.changes())


@pytest.mark.parametrize("arguments, typed", [((), "replace\n"), (("--yes",), "")])
def test_restore_dumps_what_is_there_and_makes_the_database_anew(host, arguments, typed):
    host.ready().answer("tables", "12\n")
    done = host.run("restore", packed(host), *arguments, typed=typed)
    assert done.returncode == 0, done.stderr
    assert len(list(host.cwd.glob("spi_db.dump.*.sql.gz"))) == 1
    sql = (host.fake / "sql").read_text()
    order = ["DROP DATABASE `sticky_pi`", "CREATE DATABASE `sticky_pi` CHARACTER SET utf8mb4", "TABLE spi_restore_unf"]
    order += ["CREATE TABLE images", "DROP TABLE spi_restore_unfinished"]
    assert sorted(order, key=sql.index) == order
    steps = [call for call in host.changes() if not call.startswith("exec")]
    assert steps == ["up -d spi_db", "stop spi_dash spi_uid spi_backup", "run --rm -T spi_migrate", "up -d"]


def test_restore_of_an_empty_database_asks_nothing(host):
    done = host.ready().run("restore", packed(host))
    assert done.returncode == 0, done.stderr
    assert list(host.cwd.glob("spi_db.dump.*")) == []


def test_restore_takes_a_folder_of_spi_dash_backup(host):
    backup = host.data / "backups" / "2026-11-23_02-00-00"
    backup.mkdir(parents=True)
    (backup / "manifest.json").write_text("{}")
    assert host.ready().run("restore", str(backup)).returncode == 0
    assert any(
        f"-v {backup.parent}:/restore:ro spi_dash restore /restore/{backup.name} --replace" in call
        for call in host.changes()
    )


def test_update_dumps_first_and_starts_last(host):
    done = host.ready().run("update")
    assert done.returncode == 0, done.stderr
    start = ["pull --ignore-buildable", "build --pull", "stop spi_dash spi_uid spi_backup", "up -d spi_db"]
    end = ["exec -T spi_db mariadb-dump", "run --rm -T spi_migrate", "up -d spi_dash", "up -d"]
    assert [call.strip() for call in host.changes()] == start + end
    assert len(list((host.data / "dumps").glob("spi_db.dump.*.sql.gz"))) == 1


def test_update_changes_nothing_when_an_image_cannot_be_made(host):
    host.ready().answer("fail", "build --pull")
    assert "nothing was changed" in host.refused("update")
    assert not any(call.startswith(("stop", "up")) for call in host.changes())


def test_update_that_fails_brings_images_and_database_back(host):
    host.ready().answer("fail", "up -d spi_dash")
    said = host.refused("update")
    assert "the new server is not healthy" in said and "runs as before the update" in said
    assert "CREATE TABLE images" in (host.fake / "sql").read_text()
    assert re.fullmatch(GONE_BACK, host.changes()[-1])
    tagged = [call for call in host.calls() if call.startswith("tag")]
    assert "tag sha256:app spi-dash-before-update/spi_dash:latest" in tagged
    pins = (host.fake / "pins").read_text()
    assert 'spi_dash:\n    image: "sha256:app"' in pins and "spi_nginx:" in pins
    assert "spi_db:" not in pins  # a newer MariaDB has changed its files


def test_update_without_dump_leaves_the_database_alone(host):
    host.ready().answer("dump", DUMP[:30])
    assert "could not be dumped" in host.refused("update")
    assert not (host.fake / "sql").exists()
    assert not any("spi_migrate" in call for call in host.changes())


@pytest.mark.parametrize(
    "step, said, is_restored",
    [
        ("stop spi_dash", "the servers could not be stopped", False),
        ("up -d spi_db$", "the database does not start", False),
        ("mariadb-dump", "could not be dumped", False),
        ("run --rm -T spi_migrate", "tables could not be brought up to date", True),
        ("up -d spi_dash$", "the new server is not healthy", True),
        ("up -d$", "not all services are healthy", True),
    ],
)
def test_update_goes_back_whatever_step_fails(host, step, said, is_restored):
    host.ready().answer("fail", step)
    text = host.refused("update")
    assert said in text and "runs as before the update" in text
    assert (host.fake / "sql").exists() is is_restored
    assert re.fullmatch(GONE_BACK, host.changes()[-1])


def test_a_failed_update_takes_nginx_back_only_if_it_was_made_anew(host):
    host.ready()
    host.answer("recreated", STATES.replace("nginx 4d", "newer 5d").replace("dash running healthy", "dash exited none"))
    assert "not all services are healthy" in host.refused("update")
    assert re.fullmatch(r"-f \S+pins.yml up -d --no-build *", host.changes()[-1])


def test_update_keeps_the_number_of_servers(host):
    host.ready().answer("servers", "1\n2\n")
    assert host.run("update").returncode == 0
    assert [call for call in host.changes() if "--scale" in call] == [
        "up -d --scale spi_dash=2 spi_dash",
        "up -d --scale spi_dash=2",
    ]


def test_update_needs_a_server(host):
    host.ready().answer("ids", "")
    assert "use 'sh deploy.sh prod'" in host.refused("update")


def test_status_and_logs(host):
    done = host.ready().run("status")
    assert done.returncode == 0 and "ready: yes" in done.stdout and "newest backup: none" in done.stdout
    host.answer("fail", "readyz")
    assert host.run("status").returncode == 1
    assert "there is no service spi_api" in host.refused("logs", "spi_api")
    assert host.run("logs", "spi_dash").returncode == 0
    assert host.calls()[-1] == "logs --tail 200 --follow spi_dash"


def test_status_says_where_to_look_for_backups_in_a_bucket(host):
    host.ready()
    host.secrets.write_text(host.secrets.read_text() + "BACKUP_TO=s3://copies/spi\n")
    assert "sh deploy.sh spi-dash backup --to s3://copies/spi --check" in host.run("status").stdout


def test_commands_of_the_program_run_in_a_container_of_their_own(host):
    assert host.ready().run("spi-dash", "users", "reset-password", "maria").returncode == 0
    assert host.changes() == ["run --rm --no-deps -T --entrypoint spi-dash spi_backup users reset-password maria"]


def test_whose_mounted_files_have_changed_is_made_anew(host):
    def mounted():
        assert host.run("prod").returncode == 0
        return (host.fake / "mounted").read_text()

    host.ready()
    (host.docker / "nginx.sh").write_text("first")
    first = mounted()
    assert first == mounted()
    (host.docker.parent / "nginx.conf").write_text("second")
    assert first != mounted()


def test_devel_starts_the_development_files_and_says_where(host):
    host.write(ROOT_DOMAIN_NAME="example.org", LOCAL_VOLUME_ROOT=host.data, **DEVEL)
    assert "run 'sh deploy.sh secrets'" in host.refused("devel")
    host.run("secrets")
    done = host.run("devel")
    assert done.returncode == 0, done.stderr
    assert "https://webapp.spi.localhost:8443" in done.stdout
    assert host.changes() == ["up -d --build"]
    assert "compose.devel.yml" in (host.fake / "calls").read_text()
    host.answer("states", STATES.replace("spi_dash running healthy", "spi_dash running unhealthy"))
    assert "spi_dash (running, unhealthy)" in host.refused("devel")


def test_devel_keeps_away_from_a_production_server(host):
    assert "a production server lives in" in host.ready().refused("devel")
    assert host.changes() == []


def test_test_runs_beside_everything_else_and_leaves_nothing(host):
    host.ready()
    done = host.run("test")
    assert done.returncode == 0 and "The test passed" in done.stdout, done.stderr
    calls = [line for line in (host.fake / "calls").read_text().splitlines() if line.startswith("compose --env-file")]
    assert calls and all("-p spi_dash_test " in call and "compose.devel.yml" in call for call in calls)
    steps = [re.sub(r"^-f \S+/test.yml ", "", call) for call in host.calls()]
    assert steps.index("up -d --build") < steps.index("down --remove-orphans")
    assert "get_token" in (host.fake / "calls").read_text()
    assert list(host.fake.glob("tmp.*")) == [] and host.data.is_dir()


@pytest.mark.parametrize(
    "step, said", [("up -d --build", "not everything could be started"), ("get_token", "gets no token")]
)
def test_a_test_that_fails_says_so_and_leaves_nothing(host, step, said):
    host.ready().answer("fail", step)
    assert said in host.refused("test")
    assert host.calls()[-1].endswith("down --remove-orphans")
    assert list(host.fake.glob("tmp.*")) == []


def test_mysql_prompt_is_a_client_in_the_database_container(host):
    assert host.ready().run("mysql-prompt").returncode == 0
    assert host.calls()[-1].startswith("exec spi_db sh -c")
    assert values(host.secrets)["MYSQL_PASSWORD"] not in (host.fake / "calls").read_text()


@pytest.mark.parametrize("verb", ["prod", "update", "restore", "devel", "test", "status", "logs", "mysql-backup"])
def test_without_secrets_nothing_is_done_and_the_next_step_is_named(host, verb):
    dump = [packed(host)] if verb == "restore" else []
    assert "sh deploy.sh secrets" in host.refused(verb, *dump)
    assert host.changes() == []


def test_nothing_deletes_volumes():
    text = SCRIPT.read_text()
    assert not re.search(r"down[^\n]*(-v\b|--volumes)|volume (rm|prune)", text)


def test_one_deployment_at_a_time(host):
    host.ready()
    lock = host.docker / ".deploy.lock"
    with subprocess.Popen(["flock", str(lock), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdin.write(b"held\n")
        other.stdin.flush()
        assert other.stdout.readline() == b"held\n"
        assert "another deploy.sh" in host.refused("prod")
        other.stdin.close()

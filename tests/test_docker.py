"""The container files: what can be known of them without a container engine."""

import ipaddress
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values
from stack.compose import BASE, DEVEL, DOCKER, PROD, ROOT, services

BIN = Path(sys.executable).parent
SCRIPTS = sorted([*DOCKER.glob("*.sh"), *(ROOT / "tests").glob("*.sh")])
SECRETS = {
    *("SECRET_API_KEY", "MYSQL_PASSWORD", "API_ADMIN_PASSWORD", "UID_PASSWORD", "S3_ACCESS_KEY", "S3_PRIVATE_KEY"),
    *("S3_HOST", "S3_BUCKET_NAME", "ADMIN_EMAIL", "GARAGE_RPC_SECRET"),
}
PASSWORDS = SECRETS - {"S3_HOST", "S3_BUCKET_NAME", "ADMIN_EMAIL"}
DCLINT = "3.1.0"
ONCE = {"spi_migrate", "spi_volumes", "spi_certificate"}  # they end, and others wait for that


EVERY = [
    pytest.param(name, service, id=f"{override.stem}-{name}")
    for override in (PROD, DEVEL)
    for name, service in services(override).items()
]


def tool(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_files_follow_the_specification():
    tool(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", BASE, PROD, DEVEL)


def test_misspelt_keys_would_be_found(tmp_path):
    wrong = tmp_path / "compose.yml"
    wrong.write_text(BASE.read_text().replace("retries:", "retrys:"))
    with pytest.raises(AssertionError, match="retrys"):
        tool(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", wrong)


@pytest.fixture(scope="session")
def dclint():
    """The linter of compose files, which comes from npm; installed once into this environment."""
    folder = Path(sys.prefix) / f"dclint-{DCLINT}"
    program = folder / "node_modules" / ".bin" / "dclint"
    if not program.exists():
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed, from which dclint comes")
        command = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--ignore-scripts", "--prefix", folder]
        done = subprocess.run([*command, f"dclint@{DCLINT}"], capture_output=True, text=True, timeout=200)
        if done.returncode != 0:
            pytest.skip(f"dclint could not be installed: {(done.stdout + done.stderr).strip()[-300:]}")
    return lambda *files: tool(program, "-c", DOCKER / ".dclintrc.yaml", "--max-warnings", "0", *files)


def test_compose_files_pass_dclint(dclint, tmp_path):
    dclint(BASE, PROD, DEVEL)
    wrong = tmp_path / "compose.yml"
    wrong.write_text(BASE.read_text().replace("retries:", "retrys:"))
    with pytest.raises(AssertionError, match=r"spi_nginx/healthcheck.*must NOT have additional properties"):
        dclint(wrong)


@pytest.mark.parametrize("override", [PROD, DEVEL])
def test_what_is_built_here_is_asked_of_no_registry(override):
    """Compose builds for services with `build`; others with the same image would have it pulled, which fails."""
    for name, service in services(override).items():
        if "${SPI_VERSION}" in service["image"]:
            assert ("build" in service) != (service.get("pull_policy") == "never"), name


@pytest.mark.parametrize("name, service", EVERY)
def test_every_service_is_contained(name, service):
    assert re.fullmatch(r"[\w./-]+:(v?\d+\.\d+\.\d+(-alpine)?|\$\{SPI_VERSION\})", service["image"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["stop_grace_period"]
    assert not {"container_name", "privileged", "pid", "ipc"} & set(service)
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    check = service["healthcheck"]
    assert check == {"disable": True} if name in ONCE else {"test", "interval", "timeout", "retries"} <= set(check)


@pytest.mark.parametrize("override", [PROD, DEVEL])
def test_the_order_of_the_start_is_that_of_health(override):
    found = services(override)
    conditions = {
        (name, other): rule["condition"] for name, s in found.items() for other, rule in s.get("depends_on", {}).items()
    }
    for (_, other), condition in conditions.items():
        assert condition == ("service_completed_successfully" if other in ONCE else "service_healthy")
    needed = {("spi_dash", "spi_migrate"), ("spi_migrate", "spi_db"), ("spi_migrate", "spi_volumes")}
    assert needed | {("spi_nginx", "spi_dash"), ("spi_uid", "spi_dash")} <= set(conditions)


def test_who_reaches_whom():
    found, networks = services(PROD), yaml.safe_load(BASE.read_text())["networks"]
    members = {network: {n for n, s in found.items() if network in s.get("networks", ())} for network in networks}
    assert members["data"] == {"spi_db", "spi_dash", "spi_migrate", "spi_backup"}
    assert members["s3"] == {"spi_nginx", "spi_s3"}
    assert networks["data"]["internal"] and networks["s3"]["internal"]
    assert {name for name, service in found.items() if service.get("ports")} == {"spi_nginx"}
    assert [port.split(":")[0] for port in services(DEVEL)["spi_nginx"]["ports"]] == ["127.0.0.1"] * 2


def test_nobody_else_can_get_the_address_of_the_trusted_proxy():
    values = dotenv_values(DOCKER / ".env")
    proxy = ipaddress.ip_address(values["SPI_TRUSTED_PROXY"])
    subnet, given_out = (ipaddress.ip_network(values[f"SPI_FRONT_{name}"]) for name in ("SUBNET", "RANGE"))
    assert proxy in subnet and proxy not in given_out and given_out.subnet_of(subnet)
    assert services(PROD)["spi_nginx"]["networks"]["front"]["ipv4_address"] == "${SPI_TRUSTED_PROXY}"


@pytest.mark.parametrize("name, own", [("spi_uid", {"UID_PASSWORD"}), ("spi_db", {"MYSQL_PASSWORD"})])
def test_services_are_given_their_own_secret_only(name, own):
    environment = services(PROD)[name]["environment"]
    assert {secret for secret in PASSWORDS if environment.get(secret) != ""} == own


def test_development_never_touches_the_data_of_a_lab():
    for name in ("spi_dash", "spi_migrate"):
        environment = services(DEVEL)[name]["environment"]
        assert (environment["S3_HOST"], environment["MYSQL_HOST"]) == ("", "spi_db")
    assert not set(services(DEVEL)) & {"spi_backup", "spi_certbot"}


def test_every_variable_has_a_value_or_is_made_by_secrets():
    values = dotenv_values(DOCKER / ".env")
    used = {name for path in (BASE, PROD, DEVEL) for name in re.findall(r"(?<!\$)\$\{(\w+)", path.read_text())}
    used |= {name for name in re.findall(r"\$\{?([A-Z]+_[A-Z_]+)", (DOCKER / "backup.sh").read_text())}
    used -= {"BACKUP_STATE", "BACKUP_RETRY_S", "SPI_MOUNTED"}  # for tests; of deploy.sh
    assert used - SECRETS - set(values) == set()
    documented = (ROOT / "docs/configuration.md").read_text()
    assert {name for name in {*used, *values, *SECRETS} if f"`{name}`" not in documented} == set()


def test_no_file_holds_a_secret():
    assert not PASSWORDS & set(dotenv_values(DOCKER / ".env"))
    for path in DOCKER.iterdir():
        if path.name != ".secret.env":
            assert not re.findall(
                r"(?m)^\s*-?\s*(?:\w*(?:PASSWORD|SECRET|_KEY))\s*[:=]\s*[\"']?[A-Za-z0-9]{8}", path.read_text()
            )
    tracked = subprocess.run(["git", "check-ignore", "-q", "docker/.secret.env"], cwd=ROOT)
    assert tracked.returncode in (0, 128)  # ignored, or not in a checkout


def test_every_file_that_is_named_exists():
    for override in (PROD, DEVEL):
        for service in services(override).values():
            mounted = [volume.split(":")[0] for volume in service.get("volumes", ()) if volume.startswith(".")]
            build = service.get("build", {})
            for path in [*mounted, *([f"../{build['dockerfile']}"] if build else [])]:
                assert (DOCKER / path).is_file(), path
    entry_points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for path in DOCKER.glob("*.Dockerfile"):
        text = path.read_text()
        for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", text):
            assert all((ROOT / source).exists() for source in shlex.split(line)[:-1]), line
        assert re.search(r'(?m)^ENTRYPOINT \["([\w-]+)"', text)[1] in entry_points


@pytest.mark.parametrize("path", sorted(DOCKER.glob("*.Dockerfile")), ids=lambda path: path.name)
def test_dockerfiles_pass_hadolint(path):
    tool(BIN / "hadolint", path)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_shellcheck(path):
    tool(BIN / "shellcheck", path)


@pytest.fixture
def backup(tmp_path):
    """docker/backup.sh, with a spi-dash and a sleep that write down how they are called; the third sleep ends it."""
    calls = tmp_path / "calls"
    for name, ends in (
        ("spi-dash", f"exit $(cat {tmp_path}/code)"),
        ("sleep", f"[ $(grep -c ^sleep {calls}) -lt 3 ] || kill $PPID"),
    ):
        fake = tmp_path / name
        fake.write_text(f'#!/bin/sh\necho "{name} $*" >>{calls}\n{ends}\n')
        fake.chmod(0o755)

    def run(code, **environ):
        (tmp_path / "code").write_text(str(code))
        state = tmp_path / "fine"
        variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "BACKUP_STATE": str(state), "BACKUP_AT": "02:30"}
        done = subprocess.run(
            ["sh", DOCKER / "backup.sh"], env=variables | environ, capture_output=True, text=True, timeout=20
        )
        return done, calls.read_text().splitlines() if calls.exists() else [], state.exists()

    return run


def test_backups_are_made_once_a_day(backup):
    done, calls, fine = backup(0, BACKUP_FILES="true", BACKUP_KEEP="3", BACKUP_TO="s3://copies/spi")
    assert (done.returncode, fine) == (0, True)
    assert calls[1] == calls[3] == "spi-dash backup --to s3://copies/spi --files --keep 3"
    assert all(0 < int(call.split()[1]) <= 86400 for call in calls[::2])


def test_a_failed_backup_is_tried_again_soon_and_shows(backup):
    done, calls, fine = backup(1)
    assert calls[1] == "spi-dash backup --to /backups --keep 14"
    assert 3600 <= int(calls[2].removeprefix("sleep ")) <= 3625  # two hosts do not try again at the same moment
    assert "failed: next try in 3600 s" in done.stderr
    assert not fine


def test_no_backups_are_made_where_another_host_makes_them(backup):
    done, calls, fine = backup(0, BACKUP_AT="never")
    assert (done.returncode, fine) == (0, True)
    assert calls and set(calls) == {"sleep 3600"}


@pytest.mark.parametrize("name, value", [("BACKUP_AT", "noonish"), ("BACKUP_FILES", "perhaps"), ("BACKUP_AT", "")])
def test_nonsense_in_the_schedule_is_refused_by_name(backup, name, value):
    done, calls, _ = backup(0, **{name: value})
    assert done.returncode == 2
    assert name in done.stderr and not calls


def test_a_failed_renewal_is_said_and_tried_again(tmp_path):
    calls = tmp_path / "calls"
    ends = f"[ $(grep -c ^sleep {calls}) -lt 2 ] || kill $PPID"
    for name, then in (("certbot", "exit 1"), ("sleep", ends)):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{calls}\n{then}\n')
        (tmp_path / name).chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", DOCKER / "certbot.sh"], env=environ, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and done.stderr.count("was not renewed") == 2
    assert [line.split()[0] for line in calls.read_text().splitlines()] == ["certbot", "sleep"] * 2


def test_a_self_made_certificate_covers_the_domain_and_is_kept(tmp_path):
    for _ in range(2):
        tool("sh", DOCKER / "self-signed.sh", "lab.test", tmp_path)
        certificate = tmp_path / "fullchain.pem"
        made = certificate.read_bytes()
    assert certificate.read_bytes() == made
    shown = subprocess.run(["openssl", "x509", "-noout", "-text", "-in", certificate], capture_output=True, text=True)
    assert "DNS:lab.test, DNS:*.lab.test" in shown.stdout
    assert (tmp_path / "privkey.pem").stat().st_mode & 0o777 == 0o600


def test_the_template_of_nginx_passes_its_check(tmp_path):
    if shutil.which("nginx") is None or shutil.which("envsubst") is None:
        pytest.skip("nginx, envsubst not installed")
    tool("sh", DOCKER / "self-signed.sh", "lab.test", tmp_path)
    folders = {"NGINX_CERTIFICATES": tmp_path, "NGINX_RUN_DIR": tmp_path / "run", "NGINX_ACCESS_LOG": tmp_path / "log"}
    environ = {**os.environ, "ROOT_DOMAIN_NAME": "lab.test", "NGINX_TEMPLATE": str(ROOT / "nginx.conf")}
    environ |= {"NGINX_HTTP_PORT": "28080", "NGINX_HTTPS_PORT": "28443"} | {k: str(v) for k, v in folders.items()}
    done = subprocess.run(["sh", DOCKER / "nginx.sh", "check"], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "${" not in (tmp_path / "run" / "nginx.conf").read_text()

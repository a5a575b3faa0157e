"""Configuration: the only module that reads the environment. docs/configuration.md lists every variable."""

import fcntl
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from dotenv import dotenv_values

from .errors import ConfigError

MIN_PASSWORD_CHARS = 11  # the existing server refuses ten or fewer
MIN_KEY_CHARS = 16
GENERATED = ("SECRET_API_KEY", "API_ADMIN_PASSWORD", "UID_PASSWORD")
TRUE, FALSE = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


@dataclass(frozen=True, kw_only=True)
class S3Config:
    host: str  # "s3.example.org", https; or a full URL
    access_key: str
    private_key: str = field(repr=False)
    bucket: str
    region: str = "us-east-1"
    public_host: str | None = None  # where browsers reach it, when that is another name


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a process needs to know before it starts. `production` where a database or S3 server is named."""

    data_dir: Path
    database_url: str = field(repr=False)
    s3: S3Config | None = None
    backup_s3: S3Config | None = None  # where backups go that are named s3://...; None: the server's own
    production: bool = False
    secret_key: str = field(repr=False)
    admin_name: str = "admin"
    admin_password: str = field(repr=False)
    uid_user: str = "spi_uid"
    uid_password: str = field(repr=False)
    keep_password_hashes: bool = False  # of an existing server, which may be needed again
    public_url: str = ""  # base of the links we hand out; "": the address the request came to
    trusted_proxy: str | None = None  # address of the one proxy whose X-Forwarded-* headers are believed
    host: str = "127.0.0.1"
    port: int = 8050
    threads: int = 8
    max_image_mb: int = 32
    max_bundle_file_mb: int = 1024
    debug: bool = False  # log calls of the S3 server, and requests that wait for a thread
    log_json: bool = False
    metrics_token: str | None = field(default=None, repr=False)  # None: /metrics is for private networks

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, env_files: Iterable[Path] = ()) -> "Config":
        """Read the variables of the environment, and of env files where the environment has none.

        Raises:
            ConfigError: names the variable that is missing, weak or malformed.
        """
        values = _read_files(env_files) | dict(os.environ if environ is None else environ)
        data_dir = Path(values.get("SPI_DATA_DIR") or values.get("LOCAL_VOLUME_ROOT") or "spi-data").expanduser()
        production = _boolean(values, "SPI_PRODUCTION") or bool(values.get("MYSQL_HOST") or values.get("S3_HOST"))
        if not production:
            values = _generated_secrets(data_dir, values) | values
        config = cls(
            data_dir=data_dir,
            database_url=_database_url(values, data_dir),
            s3=_s3(values),
            backup_s3=_backup_s3(values),
            production=production,
            secret_key=_secret(values, "SECRET_API_KEY", MIN_KEY_CHARS if production else 1),
            admin_name=values.get("API_ADMIN_NAME") or "admin",
            admin_password=_secret(values, "API_ADMIN_PASSWORD", MIN_PASSWORD_CHARS),
            uid_user=values.get("UID_USER") or "spi_uid",
            uid_password=_secret(values, "UID_PASSWORD", MIN_PASSWORD_CHARS),
            keep_password_hashes=_boolean(values, "SPI_KEEP_PASSWORD_HASHES"),
            public_url=(values.get("SPI_PUBLIC_URL") or "").rstrip("/"),
            trusted_proxy=values.get("SPI_TRUSTED_PROXY") or None,
            host=values.get("SPI_HOST") or "127.0.0.1",
            debug=_boolean(values, "DEBUG"),
            log_json=_log_json(values, production),
            metrics_token=_secret(values, "SPI_METRICS_TOKEN", MIN_KEY_CHARS)
            if values.get("SPI_METRICS_TOKEN")
            else None,
        )
        names = {"port": "SPI_PORT", "threads": "SPI_THREADS", "max_image_mb": "SPI_MAX_IMAGE_MB"}
        names["max_bundle_file_mb"] = "SPI_MAX_BUNDLE_FILE_MB"
        numbers = {key: _number(values, name, key != "port") for key, name in names.items() if values.get(name)}
        return replace(config, **numbers)


def _read_files(paths: Iterable[Path]) -> dict[str, str]:
    values: dict[str, str] = {}
    for path in paths:
        if not path.is_file():
            raise ConfigError(f"the env file {path} does not exist")
        values |= {name: value for name, value in dotenv_values(path).items() if value is not None}
    return values


def _generated_secrets(data_dir: Path, values: Mapping[str, str]) -> dict[str, str]:
    """The secrets of an embedded server: made once, kept in the data directory, readable by its owner only.

    Of two processes that start at once, the second waits and reads what the first has made.
    """
    path = data_dir / "secrets.env"
    found = _read_secrets(path)
    if all(values.get(name) or name in found for name in GENERATED):
        return found
    data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = _read_secrets(path)
        missing = [name for name in GENERATED if not values.get(name) and name not in found]
        made = {name: secrets.token_urlsafe(32 if name == "SECRET_API_KEY" else 12) for name in missing}
        file.writelines(f"{name}={value}\n" for name, value in made.items())
        file.flush()
        os.fsync(file.fileno())
    return found | made


def _read_secrets(path: Path) -> dict[str, str]:
    return {name: value for name, value in dotenv_values(path).items() if value} if path.exists() else {}


def _database_url(values: Mapping[str, str], data_dir: Path) -> str:
    if not values.get("MYSQL_HOST"):
        return f"sqlite:///{data_dir.absolute() / 'spi.db'}"
    user, password = _required(values, "MYSQL_USER"), _required(values, "MYSQL_PASSWORD")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return f"mysql+pymysql://{login}@{values['MYSQL_HOST']}/{quote(_required(values, 'MYSQL_DATABASE'))}"


def _s3(values: Mapping[str, str]) -> S3Config | None:
    if not values.get("S3_HOST"):
        return None
    return S3Config(
        host=values["S3_HOST"],
        access_key=_required(values, "S3_ACCESS_KEY"),
        private_key=_required(values, "S3_PRIVATE_KEY"),
        bucket=_required(values, "S3_BUCKET_NAME"),
        region=values.get("SPI_S3_REGION") or "us-east-1",
        public_host=values.get("SPI_S3_PUBLIC_HOST") or None,
    )


def _log_json(values: Mapping[str, str], production: bool) -> bool:
    chosen = values.get("LOG_FORMAT") or ("json" if production else "text")
    if chosen not in ("json", "text"):
        raise ConfigError(f"LOG_FORMAT={chosen!r} is neither json nor text")
    return chosen == "json"


def _backup_s3(values: Mapping[str, str]) -> S3Config | None:
    if not values.get("BACKUP_S3_HOST"):
        return None
    return S3Config(
        host=values["BACKUP_S3_HOST"],
        access_key=_required(values, "BACKUP_S3_ACCESS_KEY"),
        private_key=_required(values, "BACKUP_S3_PRIVATE_KEY"),
        bucket="",  # it is named by the command
        region=values.get("BACKUP_S3_REGION") or "us-east-1",
    )


def _required(values: Mapping[str, str], name: str) -> str:
    if not values.get(name):
        raise ConfigError(f"{name} is missing: set it in the environment or in an env file")
    return values[name]


def _secret(values: Mapping[str, str], name: str, min_chars: int) -> str:
    value = _required(values, name)
    if len(value) < min_chars:
        raise ConfigError(f"{name} is too short: it needs at least {min_chars} characters")
    if len(set(value)) < min(4, min_chars):
        raise ConfigError(f"{name} is too weak: it repeats too few characters")
    return value


def _number(values: Mapping[str, str], name: str, at_least: int) -> int:
    try:
        number = int(values[name])
    except ValueError:
        raise ConfigError(f"{name}={values[name]!r} is not a whole number") from None
    if number < at_least:
        raise ConfigError(f"{name}={number} is less than {at_least:d}")
    return number


def _boolean(values: Mapping[str, str], name: str) -> bool:
    text = values.get(name, "").strip().lower()
    if text not in TRUE | FALSE:
        raise ConfigError(f"{name}={text!r} is neither true nor false")
    return text in TRUE

"""Configuration: what is read, what is made, what is refused."""

import re
import stat
from pathlib import Path

import pytest

from spi_dash.config import Config
from spi_dash.errors import ConfigError

ROOT = Path(__file__).parent.parent
PRODUCTION = {
    "MYSQL_HOST": "spi_db",
    "MYSQL_DATABASE": "sticky-pi",
    "MYSQL_USER": "sticky-pi",
    "MYSQL_PASSWORD": "p@ss/word:1",
    "S3_HOST": "s3.example.org",
    "S3_ACCESS_KEY": "key",
    "S3_PRIVATE_KEY": "private",
    "S3_BUCKET_NAME": "bucket",
    "SECRET_API_KEY": "cfbewif7y8rfy4w3aNIK",
    "API_ADMIN_PASSWORD": "long enough 1",
    "UID_PASSWORD": "long enough 2",
}


def test_the_embedded_default_makes_its_secrets_once(tmp_path):
    environ = {"SPI_DATA_DIR": str(tmp_path / "data")}
    config = Config.from_env(environ)
    assert config == Config.from_env(environ)
    assert not config.production and config.database_url.startswith("sqlite:///") and config.s3 is None
    assert stat.S_IMODE((tmp_path / "data" / "secrets.env").stat().st_mode) == 0o600
    assert len({config.secret_key, config.admin_password, config.uid_password}) == 3


def test_the_environment_wins_over_made_secrets(tmp_path):
    environ = {"SPI_DATA_DIR": str(tmp_path), "API_ADMIN_PASSWORD": "chosen by me"}
    assert Config.from_env(environ).admin_password == "chosen by me"
    assert "API_ADMIN_PASSWORD" not in (tmp_path / "secrets.env").read_text()


def test_production():
    config = Config.from_env(PRODUCTION)
    assert config.production and config.s3.bucket == "bucket"
    assert config.database_url == "mysql+pymysql://sticky-pi:p%40ss%2Fword%3A1@spi_db/sticky-pi"
    assert "private" not in repr(config) and "p%40ss" not in repr(config) and "long enough" not in repr(config)


@pytest.mark.parametrize("name", sorted(PRODUCTION.keys() - {"MYSQL_HOST", "S3_HOST"}))
def test_production_makes_nothing_up(name):
    with pytest.raises(ConfigError, match=name):
        Config.from_env({**PRODUCTION, name: ""})


@pytest.mark.parametrize(
    "name, value",
    [
        ("SECRET_API_KEY", "short"),
        ("SECRET_API_KEY", "a" * 40),
        ("API_ADMIN_PASSWORD", "ten chars!"),
        ("UID_PASSWORD", "x"),
        ("SPI_PORT", "eighty"),
        ("SPI_THREADS", "0"),
        ("SPI_PORT", "-1"),
        ("SPI_METRICS_TOKEN", "short"),
        ("DEBUG", "perhaps"),
    ],
)
def test_nonsense_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        Config.from_env({**PRODUCTION, name: value})


def test_env_files_refer_to_each_other(tmp_path):
    file = tmp_path / ".env"
    file.write_text("ROOT_DOMAIN_NAME=lab.example.org\nS3_HOST=s3.${ROOT_DOMAIN_NAME}\nSPI_PORT='8051'\n")
    environ = {name: value for name, value in PRODUCTION.items() if name != "S3_HOST"}
    config = Config.from_env(environ, [file])
    assert (config.s3.host, config.port) == ("s3.lab.example.org", 8051)
    with pytest.raises(ConfigError, match="nowhere"):
        Config.from_env(environ, [tmp_path / "nowhere"])


def test_every_variable_is_documented():
    source = (ROOT / "spi_dash/config.py").read_text()
    documented = (ROOT / "docs/configuration.md").read_text()
    read = set(
        re.findall(
            r'"((?:SPI|MYSQL|S3|API|UID)_[A-Z0-9_]+|SECRET_API_KEY|DEBUG|ROOT_DOMAIN_NAME|LOCAL_VOLUME_ROOT)"', source
        )
    )
    assert len(read) > 20
    assert {name for name in read if f"`{name}`" not in documented} == set()

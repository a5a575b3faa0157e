"""`spi-dash serve` in processes of their own, on a database and a storage that they may share."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from live import PASSWORD

from .ceph import Rgw

SECRETS = {
    "SECRET_API_KEY": "a secret key for tests",
    "API_ADMIN_PASSWORD": PASSWORD,
    "UID_PASSWORD": "another long password",
}


def database_variables(mariadb_url: str) -> dict[str, str]:
    """What a server needs to know to work on this database."""
    url = sa.make_url(mariadb_url)
    where = {"MYSQL_HOST": f"{url.host}:{url.port}", "MYSQL_DATABASE": url.database or ""}
    return SECRETS | where | {"MYSQL_USER": url.username or "", "MYSQL_PASSWORD": url.password or ""}


def s3_variables(rgw: Rgw, bucket: str, host: str | None = None) -> dict[str, str]:
    """What a server needs to know to keep its files in this bucket, reached as `host`."""
    keys = {"S3_ACCESS_KEY": rgw.access_key, "S3_PRIVATE_KEY": rgw.secret_key}
    return SECRETS | keys | {"S3_HOST": host or rgw.host, "S3_BUCKET_NAME": bucket, "SPI_S3_PUBLIC_HOST": rgw.host}


class Server:
    """One process; `url` waits until it serves."""

    def __init__(self, data_dir: Path, variables: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "spi_dash", "serve", "--data", str(data_dir), "--port", "0", "--no-detector"]
        self._log = data_dir.with_name(f"{data_dir.name}-{id(self)}.log").open("w+")
        environ = {**os.environ, **variables, "SPI_THREADS": "4"}
        self.process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=self._log, text=True)
        self._url = ""

    @property
    def url(self) -> str:
        if not self._url:
            self._url = self.process.stdout.readline().split(" ")[-1].strip()
            assert self._url.startswith("http"), self.log()
        return self._url

    def log(self) -> str:
        """What it wrote on stderr."""
        self._log.seek(0)
        return self._log.read()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._log.close()


@contextmanager
def servers(data_dir: Path, variables: Mapping[str, str], n: int = 2) -> Iterator[list[Server]]:
    """So many processes, all started at once."""
    started = [Server(data_dir, variables) for _ in range(n)]
    try:
        yield started
    finally:
        for each in started:
            each.close()

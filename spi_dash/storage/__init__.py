"""Files by key. Three implementations, one behaviour: tests/test_storage.py runs against every one of them."""

from ..breaker import Breaker
from ..config import Config
from .disk import DiskStorage
from .links import UploadGrant
from .memory import MemoryStorage
from .protocol import FileInfo, Signer, Staged, Storage
from .s3 import S3Storage, endpoint_url

__all__ = [
    "DiskStorage",
    "FileInfo",
    "MemoryStorage",
    "S3Storage",
    "Signer",
    "Staged",
    "Storage",
    "UploadGrant",
    "endpoint_url",
    "make_storage",
]


def make_storage(config: Config, breaker: Breaker | None = None) -> Storage:
    """S3 where a server is named, else files in the data directory. With a breaker: for requests, see S3Storage."""
    secret, s3 = config.secret_key.encode(), config.s3
    if s3 is None:
        return DiskStorage(config.data_dir / "files", secret)
    keys = (s3.access_key, s3.private_key)
    places = {"region": s3.region, "public_host": s3.public_host}
    return S3Storage(s3.host, s3.bucket, *keys, secret, **places, breaker=breaker)

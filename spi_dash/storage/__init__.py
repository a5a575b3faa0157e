"""Files by key. Three implementations, one behaviour: tests/test_storage.py runs against every one of them."""

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


def make_storage(config: Config) -> Storage:
    """S3 where a server is named, else files in the data directory."""
    secret, s3 = config.secret_key.encode(), config.s3
    if s3 is None:
        return DiskStorage(config.data_dir / "files", secret)
    keys = (s3.access_key, s3.private_key)
    return S3Storage(s3.host, s3.bucket, *keys, secret, region=s3.region, public_host=s3.public_host)

"""Files by key. Three implementations, one behaviour: tests/test_storage.py runs against every one of them."""

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
]

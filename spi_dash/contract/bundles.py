"""Files of ML bundles."""

from typing import Annotated

from pydantic import Field

from .base import Info

BUNDLE_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
_PART = r"[.]?[^\x00-\x1f\x7f./\\][^\x00-\x1f\x7f/\\]{0,99}"
_PATH = f"^{_PART}(/{_PART}){{0,9}}$"  # no empty parts, no . and ..


class BundleFile(Info):
    """A local file of an ML bundle that a client offers to upload."""

    key: Annotated[str, Field(max_length=300, pattern=_PATH, description="path inside the bundle")]
    path: Annotated[str, Field(max_length=4096, description="path on the client, sent back as it came")] = ""
    md5: Annotated[str, Field(max_length=64)]
    mtime: Annotated[float, Field(strict=True, allow_inf_nan=False, description="UNIX seconds")]
    bundle_name: Annotated[str, Field(min_length=1, max_length=100, pattern=BUNDLE_NAME)]

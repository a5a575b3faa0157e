"""Links that need no sign-in.

The same key gives the same link for 23 hours, so that browsers cache: the time in it is rounded down. It stays valid
for six days more at least.
"""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from urllib.parse import quote, urlsplit

from ..clock import unix_s
from ..errors import Forbidden
from .keys import check_key, quote_key

VALID_S = 7 * 86400  # the most that SigV4 allows
WINDOW_S = 23 * 3600  # with the skew less than a day, so that six of the seven days are always left
SKEW_S = 15 * 60  # a storage server whose clock is late refuses links from the future
UPLOAD_VALID_S = 86400

_UNSIGNED = "UNSIGNED-PAYLOAD"


def window_start_s(now: datetime) -> int:
    """UNIX time of the window that `now` lies in: 15 minutes to 23 hours and 15 minutes ago."""
    return (unix_s(now) - SKEW_S) // WINDOW_S * WINDOW_S


class _Seal:
    """Short keyed signatures for one purpose."""

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        key = blake2b(secret, digest_size=32, person=b"spi-dash links").digest()  # secrets may be longer than 64 bytes
        self._state = blake2b(key=key, digest_size=18, person=purpose)  # 18 bytes: 24 letters without padding

    def sign(self, text: str) -> str:
        state = self._state.copy()
        state.update(text.encode(errors="backslashreplace"))  # what is verified may be any rubbish
        return base64.urlsafe_b64encode(state.digest()).decode()

    def matches(self, text: str, signature: str) -> bool:
        return hmac.compare_digest(self.sign(text).encode(), signature.encode(errors="backslashreplace"))


def _refuse_late(expires: str, now: datetime, what: str) -> None:
    if int(expires) <= unix_s(now):
        raise Forbidden(f"this {what} has expired")


@dataclass(frozen=True, slots=True)
class DiskSigner:
    """Makes links to this server: `<base_url>/files/<key>?e=<expiry, UNIX s>&s=<signature>`."""

    root: str
    expires: str
    seal: _Seal = field(repr=False)

    def __call__(self, key: str) -> str:
        """The link of one key."""
        path = quote_key(key)
        signature = self.seal.sign(f"{self.expires}\n{key}")
        return f"{self.root}{path}?e={self.expires}&s={signature}"


class DiskLinks:
    """Links to files that this server hands out itself."""

    def __init__(self, secret: bytes) -> None:
        self._seal = _Seal(secret, b"file")

    def signer(self, base_url: str, now: datetime) -> DiskSigner:
        """A signer for one answer; links are relative when `base_url` is empty."""
        return DiskSigner(f"{base_url.rstrip('/')}/files/", str(window_start_s(now) + VALID_S), self._seal)

    def verify(self, key: str, expires: str, signature: str, now: datetime) -> None:
        """Check key, `e` and `s` of a link.

        Raises:
            Forbidden: altered or expired.
        """
        if not self._seal.matches(f"{expires}\n{check_key(key)}", signature):
            raise Forbidden("this link is not valid")
        _refuse_late(expires, now, "link")


@dataclass(frozen=True, slots=True)
class UploadGrant:
    """What an upload form allows: one file under this key."""

    key: str
    max_bytes: int


class UploadForms:
    """Forms in the shape of an S3 presigned POST, for uploads through this server, whichever the storage."""

    def __init__(self, secret: bytes) -> None:
        self._seal = _Seal(secret, b"upload")

    def form(self, base_url: str, key: str, max_bytes: int, now: datetime) -> tuple[str, dict[str, str]]:
        """URL and fields, valid for a day. The fields go before the part `file` of a multipart POST."""
        fields = {"key": check_key(key), "max_bytes": str(max_bytes), "expires": str(unix_s(now) + UPLOAD_VALID_S)}
        return f"{base_url.rstrip('/')}/files/upload", fields | {"signature": self._seal.sign(self._text(fields))}

    def verify(self, fields: Mapping[str, str], now: datetime) -> UploadGrant:
        """What the fields allow.

        Raises:
            Forbidden: altered, incomplete or expired.
        """
        if not {"key", "max_bytes", "expires", "signature"} <= fields.keys():
            raise Forbidden("this upload form is incomplete")
        check_key(fields["key"])
        if not self._seal.matches(self._text(fields), fields["signature"]):
            raise Forbidden("this upload form is not valid")
        _refuse_late(fields["expires"], now, "upload form")
        return UploadGrant(fields["key"], int(fields["max_bytes"]))

    @staticmethod
    def _text(fields: Mapping[str, str]) -> str:
        return f"{fields['max_bytes']}\n{fields['expires']}\n{fields['key']}"


@dataclass(frozen=True, slots=True)
class S3Signer:
    """Makes presigned GET links of one window; the work per link is one SHA-256 and one HMAC."""

    endpoint_url: str
    path: str  # of the bucket, with slashes
    query: str
    canonical_tail: str
    string_head: str
    signing_key: bytes = field(repr=False)

    def __call__(self, key: str) -> str:
        """The link of one key."""
        path = self.path + quote_key(key)
        request = sha256(f"GET\n{path}\n{self.canonical_tail}".encode()).hexdigest()
        signature = hmac.digest(self.signing_key, (self.string_head + request).encode(), "sha256").hex()
        return f"{self.endpoint_url}{path}?{self.query}&X-Amz-Signature={signature}"


@dataclass(frozen=True)
class S3Links:
    """Presigned links of an S3 server, path style.

    Our own code, because botocore takes 60 times as long per link; tests compare the two.

    Source: AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)", Amazon S3 API Reference.
    """

    endpoint_url: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str

    def signer(self, now: datetime) -> S3Signer:
        """A signer for one answer."""
        moment = datetime.fromtimestamp(window_start_s(now), UTC)
        day, stamp = moment.strftime("%Y%m%d"), moment.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{day}/{self.region}/s3/aws4_request"
        query = (
            f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={quote(f'{self.access_key}/{scope}', safe='~')}"
            f"&X-Amz-Date={stamp}&X-Amz-Expires={VALID_S}&X-Amz-SignedHeaders=host"
        )
        return S3Signer(
            endpoint_url=self.endpoint_url,
            path=f"/{self.bucket}/",
            query=query,
            canonical_tail=f"{query}\nhost:{self._host()}\n\nhost\n{_UNSIGNED}",
            string_head=f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n",
            signing_key=self._signing_key(day),
        )

    def _host(self) -> str:
        """The Host header that clients will send: without the port when it is the scheme's own."""
        parts = urlsplit(self.endpoint_url)
        default = {"http": 80, "https": 443}[parts.scheme]
        return parts.netloc if parts.port != default else parts.netloc.rpartition(":")[0]

    def _signing_key(self, day: str) -> bytes:
        key = f"AWS4{self.secret_key}".encode()
        for part in (day, self.region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key

"""Files in a bucket of any S3 server.

botocore, the part of boto3 that speaks to the server, is imported when a storage is made: a server with files on disk
must not pay its 30 MB.
"""

import base64
import hashlib
import io
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import datetime
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from ..breaker import Breaker
from ..errors import ConfigError, Forbidden, NotFound, SpiError, Unavailable
from .keys import check_key, check_prefix, content_type, is_key
from .links import S3Links, UploadForms
from .protocol import FileInfo, Signer, Staged, Storage
from .s3_clients import Outgoing, make_clients

PART_BYTES = 15 << 20  # the existing clients compute ETags of 15 MiB parts
PIECE_BYTES = 1 << 20  # read at once
DELETE_BATCH = 1000  # the most that one DeleteObjects takes
GET_LIMIT_S = 30.0  # for the whole of a file that is held in memory, however it trickles
CACHE_CONTROL = "private, max-age=86400"  # of pictures, which never change under their key; links change every 23 hours

_AUTHORITY = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]+)?")


def endpoint_url(host: str) -> str:
    """The URL of S3_HOST: https unless it says http://.

    Raises:
        ConfigError: not a host, or more than a host and a port.
    """
    url = host if "://" in host else f"https://{host}"
    try:
        parts = urlsplit(url.rstrip("/").lower())
        valid = parts.scheme in ("http", "https") and _AUTHORITY.fullmatch(parts.netloc) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.path or parts.query or parts.fragment:
        raise ConfigError(f"S3_HOST must be a host name, with :port and http:// or https:// where needed, not {host!r}")
    return f"{parts.scheme}://{parts.netloc}"


class StorageAway(Unavailable):
    """The object storage cannot be reached, or did not answer within the time."""


class S3Storage(Storage):
    """Files in one bucket, path style, signed with SigV4.

    `public_host` is the server as browsers reach it, when that is another name than ours; links are made for it.
    `breaker` is of a server, which does not wait as long as a command.
    """

    def __init__(
        self,
        host: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        secret: bytes,
        *,
        region: str = "us-east-1",
        public_host: str | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.endpoint_url = endpoint_url(host)
        self.bucket = bucket
        self.uploads = UploadForms(secret)
        public_url = self.endpoint_url if public_host is None else endpoint_url(public_host)
        self._links = S3Links(public_url, bucket, access_key, secret_key, region)
        keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key, "region_name": region}
        self._breaker = breaker
        self._patient, self._probe, hasty = make_clients(self.endpoint_url, hasty=breaker is not None, **keys)
        self._client = hasty or self._patient

    def close(self) -> None:
        for client in {self._client, self._patient, self._probe}:
            client.close()

    def stage(self, key: str, data: bytes) -> Staged:
        return Staged(check_key(key), bytes(data))

    def publish(self, staged: Sequence[Staged]) -> None:
        for each in staged:
            self._put(check_key(each.key), each.content)

    def discard(self, staged: Iterable[Staged]) -> None:
        pass

    def put_file(self, key: str, file: BinaryIO) -> None:
        check_key(key)
        part = _read_part(file)
        ahead = file.read(1) if len(part) == PART_BYTES else b""
        if not ahead:
            return self._put(key, part)
        self._put_parts(key, part, ahead, file)

    def get(self, key: str) -> bytes:
        with self._asking(check_key(key)):
            body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
            with closing(body):
                return body.read() if self._breaker is None else _read_soon(body)

    def open(self, key: str) -> BinaryIO:
        with self._asking(check_key(key)):
            body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
        return io.BufferedReader(_Body(body, key), 1 << 16)

    def delete(self, keys: Iterable[str]) -> None:
        checked = [check_key(key) for key in keys]
        for start in range(0, len(checked), DELETE_BATCH):
            batch = checked[start : start + DELETE_BATCH]
            objects = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
            with self._asking(batch[0]):
                failed = self._client.delete_objects(Bucket=self.bucket, Delete=objects).get("Errors", [])
            failed = [error for error in failed if error.get("Code") != "NoSuchKey"]
            if failed:
                examples = [error["Key"] for error in failed[:10]]
                raise Unavailable(f"{len(failed)} files could not be deleted: {failed[0].get('Code')}", keys=examples)

    def stat(self, key: str) -> FileInfo:
        with self._asking(check_key(key)):
            head = self._client.head_object(Bucket=self.bucket, Key=key)
        return FileInfo(key, head["ContentLength"], head["LastModified"].timestamp(), head["ETag"].strip('"'))

    def list(self, prefix: str) -> Iterator[FileInfo]:
        check_prefix(prefix)
        return self._pages(prefix)

    def signer(self, base_url: str, now: datetime) -> Signer:
        """Presigned links of the S3 server; `base_url` is not needed."""
        return self._links.signer(now)

    def verify_link(self, key: str, expires: str, signature: str, now: datetime) -> None:
        raise Forbidden("files are not served here, but by the object storage")

    def check(self) -> None:
        where = f"the bucket {self.bucket!r} at {self.endpoint_url}"
        try:
            with _s3_errors(self.bucket):
                self._probe.head_bucket(Bucket=self.bucket)
        except NotFound:
            raise ConfigError(f"{where} does not exist: check S3_HOST and S3_BUCKET_NAME") from None
        except Unavailable as error:
            if error.details.get("status") in (400, 401, 403):
                raise ConfigError(f"{where} refuses us: check S3_ACCESS_KEY, S3_PRIVATE_KEY and the clock") from None
            raise

    def _put(self, key: str, data: bytes) -> None:
        with self._asking(key):
            body = Outgoing(data)
            self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentMD5=_md5(data), **_headers(key))

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        """One request of ours to the server, with our errors."""
        with self._breaker.call(StorageAway) if self._breaker else nullcontext(), _s3_errors(key):
            yield

    def _put_parts(self, key: str, part: bytes, ahead: bytes, file: BinaryIO) -> None:
        """Multipart upload, one part in memory at a time; a failure leaves no parts behind."""
        upload = {"Bucket": self.bucket, "Key": key}
        with self._asking(key):
            upload["UploadId"] = self._client.create_multipart_upload(**upload, **_headers(key))["UploadId"]
        try:
            parts = []
            while part:
                number = {"PartNumber": len(parts) + 1}
                with self._asking(key):
                    sent = self._patient.upload_part(**upload, **number, Body=Outgoing(part), ContentMD5=_md5(part))
                parts.append({"ETag": sent["ETag"], **number})
                part = b""  # or there would be two in memory
                part, ahead = _read_part(file, ahead), b""
            with self._asking(key):
                self._patient.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with suppress(SpiError), self._asking(key):
                self._client.abort_multipart_upload(**upload)
            raise

    def _pages(self, prefix: str) -> Iterator[FileInfo]:
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix))
        while True:
            with self._asking(prefix):
                page = next(pages, None)
            if page is None:
                return
            for found in page.get("Contents", []):
                if is_key(found["Key"]):
                    modified_at = found["LastModified"].timestamp()
                    yield FileInfo(found["Key"], found["Size"], modified_at, found["ETag"].strip('"'))


class _Body(io.RawIOBase):
    """The body of an answer as a file, with our errors."""

    def __init__(self, body: Any, key: str) -> None:
        self._body = body
        self._key = key

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _s3_errors(self._key):
            data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        with _s3_errors(self._key):
            return self._body.read()

    def close(self) -> None:
        if not self.closed:
            self._body.close()
        super().close()


def _read_soon(body: Any) -> bytes:
    """A file that we hold in memory, within a time that does not depend on how it trickles."""
    pieces, give_up_at = [], time.monotonic() + GET_LIMIT_S
    while piece := body.read(PIECE_BYTES):
        pieces.append(piece)
        if time.monotonic() > give_up_at:
            raise StorageAway("the object storage answers too slowly")
    return b"".join(pieces)


def _headers(key: str) -> dict[str, str]:
    media_type = content_type(key)
    return {"ContentType": media_type} | ({"CacheControl": CACHE_CONTROL} if media_type == "image/jpeg" else {})


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _read_part(file: BinaryIO, ahead: bytes = b"") -> bytes:
    """What was read ahead and the rest of one whole part, less only at the end: a pipe may give less than asked."""
    pieces, size = [ahead], len(ahead)
    while size < PART_BYTES and (piece := file.read(min(PIECE_BYTES, PART_BYTES - size))):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


@contextmanager
def _s3_errors(key: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code in ("NoSuchKey", "404", "NotFound"):
            raise NotFound("no such file", key=key) from None
        raise Unavailable(f"the object storage refuses: {code}", key=key, status=status) from error
    except (BotoCoreError, HTTPError) as error:
        raise StorageAway("the object storage does not answer", key=key) from error

"""ML bundles: which files there are, where to get them, where to put them."""

from typing import Any

from ..contract import BundleFile
from ..errors import InvalidInput
from ..services import audit, bundles, system
from . import schemas
from .endpoint import Call, Endpoint
from .links import base_url, link_maker


def get_ml_bundle_file_list(call: Call) -> list[dict[str, Any]]:
    """The files of a bundle: all, or those of its data or of its model."""
    if not isinstance(call.body, str):
        raise InvalidInput("the body must be the name of a bundle, as a JSON string", field="body")
    link = link_maker(call)
    spi = call.spi
    files = bundles.list_bundle_files(spi.storage, spi.read, spi.begin, call.body, call.what)
    return [
        {"key": path, "path": info.key, "md5": sums.listed, "mtime": info.modified_at, "url": link(info.key)}
        for path, info, sums in files
    ]


def get_ml_bundle_upload_links(call: Call) -> list[dict[str, Any]]:
    """Which of the offered files to upload, and the form to post each with. Those of the detector: admins only."""
    spi, max_bytes = call.spi, call.spi.config.max_bundle_file_mb * 2**20
    with spi.read() as session:
        bundles.check_uploader(call.user, call.infos, system.active_bundle(session))
    wanted = bundles.files_to_upload(spi.storage, spi.read, spi.begin, call.infos, call.body)
    with spi.begin() as session:
        audit.record_upload(session, call.user, [key for _, key in wanted], call.now)
    forms = [(body, *spi.storage.upload_form(base_url(call), key, max_bytes, call.now)) for body, key in wanted]
    return [{**body, "url": {"url": url, "fields": fields}} for body, url, fields in forms]


ENDPOINTS = (
    Endpoint(
        path="/_get_ml_bundle_file_list/<what>",
        role="any",
        handler=get_ml_bundle_file_list,
        body="bundle",
        whats=bundles.WHATS,
        answer=schemas.rows("StoredBundleFile"),
    ),
    Endpoint(
        path="/_get_ml_bundle_upload_links",
        role="rw",
        handler=get_ml_bundle_upload_links,
        info=BundleFile,
        answer=schemas.rows("BundleUpload"),
    ),
)

"""A small lab for the browser: two traps, ten hours, a picture every 20 minutes, outlines on the first half of them."""

import hashlib
import re
from datetime import datetime, timedelta

from flask.testing import FlaskClient
from live import ADMIN, PASSWORD, Live
from playwright.sync_api import BrowserContext
from urllib3.filepost import encode_multipart_formdata

from spi_dash.demo import tiny_picture

TRAPS = ("0a1b2c3d", "1b2c3d4e")
START = datetime(2022, 7, 1)


def fill(client: FlaskClient) -> None:
    """Upload the pictures and post the outlines, one square more on each picture."""
    moments = [START + timedelta(minutes=20 * i) for i in range(30)]
    for trap in TRAPS:
        add_images(client, trap, moments)
        add_outlines(client, trap, moments[:15])


def add_images(client: FlaskClient, trap: str, moments: list[datetime]) -> None:
    for name, data in (tiny_picture(trap, moment) for moment in moments):
        parts = [(name, (name, data, "image/jpeg")), (f"{name}.md5", hashlib.md5(data).hexdigest())]
        body, content_type = encode_multipart_formdata(parts)
        answer = client.post("/_put_new_images", auth=(ADMIN, PASSWORD), data=body, content_type=content_type)
        assert answer.status_code == 200, answer.text


def add_outlines(client: FlaskClient, trap: str, moments: list[datetime], version: str = "1.0") -> None:
    """One square more on each picture."""
    for count, moment in enumerate(moments, 1):
        key = {"device": trap, "datetime": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
        (row,) = post(client, "/get_images/metadata", [key])
        outlines = [{"contour": [[[x, y]] for x, y in _square(i)], "name": "insect"} for i in range(count)]
        metadata = {**key, "algo_name": "uid", "algo_version": version, "md5": row["md5"]}
        post(client, "/put_uid_annotations", [{"annotations": outlines, "metadata": metadata}])


def post(client: FlaskClient, path: str, body: list) -> list:
    answer = client.post(path, json=body, auth=(ADMIN, PASSWORD))
    assert answer.status_code == 200, answer.text
    return answer.json


def _square(i: int) -> list[tuple[int, int]]:
    return [(4 * i, 5), (4 * i + 3, 5), (4 * i + 3, 8), (4 * i, 8)]


def sign_in(context: BrowserContext, lab: Live, username: str = ADMIN, password: str = PASSWORD) -> None:
    """As the form does it, without a page: to load one takes seconds."""
    page = context.request.get(f"{lab.url}/sign-in").text()
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)) | {"username": username}
    answer = context.request.post(f"{lab.url}/sign-in", form={**form, "password": password}, max_redirects=0)
    assert answer.status == 303, answer.text()

"""Several uploads of one image at the same moment: one is taken, the others are told so."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import requests
from live import ADMIN, PASSWORD, START, live_server, pictures

from spi_dash.demo import tiny_picture


def test_one_row_whoever_is_first(tmp_path):
    ((name, data),) = pictures(1).items()
    _, other = tiny_picture(name[:8], START, T=-3.5)
    with live_server(tmp_path) as live:
        token = requests.post(f"{live.url}/get_token", auth=(ADMIN, PASSWORD), timeout=30).json()["token"]

        def upload(content):
            files = {name: (name, content, "image/jpeg")}
            return requests.post(f"{live.url}/_put_new_images", files=files, auth=(token, ""), timeout=30)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(upload, [data, other] * 4))
        taken = [answer.json()[0]["md5"] for answer in answers if answer.status_code == 200]
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
        key = {"device": name[:8], "datetime": "2022-05-01T00:00:00Z"}
        (row,) = requests.post(f"{live.url}/get_images/image", json=[key], auth=(token, ""), timeout=30).json()
        assert [row["md5"]] == taken
        stored = requests.get(row["url"], timeout=30).content
    assert hashlib.md5(stored).hexdigest() == row["md5"]

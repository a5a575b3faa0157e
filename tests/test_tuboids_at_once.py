"""Two server processes on the same data, and tuboids of one new series that reach them at the same moment."""

from concurrent.futures import ThreadPoolExecutor

import requests
from live import ADMIN, PASSWORD, live_server
from tuboid_lab import ALL, encode, series_info, tuboid_form


def send(live, form):
    encoded = encode(form)
    headers = {"Content-Type": encoded["content_type"]}
    address = f"{live.url}/_put_tiled_tuboids"
    return requests.post(address, data=encoded["data"], headers=headers, auth=(ADMIN, PASSWORD), timeout=60)


def test_one_series_whoever_is_first(tmp_path):
    with live_server(tmp_path) as one, live_server(tmp_path) as other, ThreadPoolExecutor(8) as pool:
        forms = [tuboid_form(number, series_info=series_info(n_tuboids=6)) for number in range(8)]
        answers = list(pool.map(send, [one, other] * 4, forms))
        assert sorted(answer.status_code for answer in answers) == [200] * 6 + [409] * 2
        rows = one.app.test_client().post("/get_tiled_tuboid_series/data", json=ALL, auth=(ADMIN, PASSWORD)).json
        assert len(rows) == 6 and len({row["parent_series_id"] for row in rows}) == 1
        assert len(list(other.spi.storage.list("tiled_tuboids/"))) == 18


def test_one_tuboid_whoever_is_first(tmp_path):
    with live_server(tmp_path) as one, live_server(tmp_path) as other, ThreadPoolExecutor(6) as pool:
        forms = [tuboid_form(0, n_shots=n) for n in (2, 3, 4, 5, 6, 7)]
        answers = list(pool.map(send, [one, other] * 3, forms))
        (taken,) = [answer.json()[0][0] for answer in answers if answer.status_code == 200]
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
        (row,) = one.app.test_client().post("/get_tiled_tuboid_series/data", json=ALL, auth=(ADMIN, PASSWORD)).json
        stored = requests.get(row["metadata"].replace("http://localhost", one.url), timeout=30).text
        assert row["n_shots"] == taken["n_shots"] == len(stored.splitlines())

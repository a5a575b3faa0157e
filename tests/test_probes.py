"""/readyz never hangs, and says what is wrong."""

import threading

from conftest import assert_error

from spi_dash.errors import Unavailable
from spi_dash.probes import Probe


def test_what_hangs_is_asked_once():
    go, asked = threading.Event(), []

    def ask():
        asked.append(1)
        go.wait(30)

    probe = Probe(ask)
    assert [probe.failure(0.01), probe.failure(0.01)] == ["no answer within 0.01 s"] * 2
    assert len(asked) == 1
    go.set()
    assert Probe(ask).failure(30) == ""


def test_readyz_names_what_does_not_answer(client, storage, monkeypatch):
    def fail():
        raise Unavailable("the disk is full")

    assert client.get("/readyz").status_code == 200
    monkeypatch.setattr(storage, "check", fail)
    response = client.get("/readyz")
    assert_error(response, 503, "unavailable")
    assert response.json["error"]["details"] == {"storage": "the disk is full"}
    assert response.headers["Retry-After"] == "5"
    monkeypatch.undo()
    assert client.get("/readyz").status_code == 200

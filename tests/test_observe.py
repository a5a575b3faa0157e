"""What monitors see, and what they never see."""

import json
import logging

from conftest import ADMIN, assert_error
from prometheus_client.parser import text_string_to_metric_families

from spi_dash.cli.serve import JsonLines


def test_metrics_are_for_the_own_network(client, make_image):
    make_image()
    client.post("/get_users", auth=("admin", "wrong password"))
    text = client.get("/metrics").text
    assert 'spi_requests_total{method="POST",route="/_put_new_images",status="200"} 1.0' in text
    assert "spi_uploads_total 1.0" in text
    assert "spi_sign_in_failures_total 1.0" in text
    assert "spi_database_up 1.0" in text
    assert "process_resident_memory_bytes" in text
    assert_error(client.get("/metrics", environ_base={"REMOTE_ADDR": "8.8.8.8"}), 403, "forbidden")


def numbers(client, **options):
    """Every sample of /metrics, as Prometheus reads it."""
    response = client.get("/metrics", **options)
    assert response.status_code == 200 and response.content_type.startswith("text/plain")
    families = text_string_to_metric_families(response.text)
    return {(each.name, *sorted(each.labels.values())): each.value for family in families for each in family.samples}


def test_the_numbers_move(client, post, make_image, server, monkeypatch):
    before = numbers(client)
    make_image()
    post("/get_users")
    monkeypatch.setitem(server.view_functions, "api.alive", lambda: 1 / 0)
    assert client.get("/healthz").status_code == 500
    after = numbers(client)
    moved = {name[0] for name, value in after.items() if value != before.get(name, 0)}
    assert moved >= {"spi_requests_total", "spi_uploads_total", "spi_received_bytes_total", "spi_request_seconds_count",
                     "spi_images", "spi_images_awaiting", "spi_errors_total"}  # fmt: skip
    assert after["spi_received_bytes_total",] > before.get(("spi_received_bytes_total",), 0) + 1000
    assert after["spi_errors_total", "/healthz"] == 1
    assert {("spi_images_claimed",), ("spi_detectors_alive",), ("spi_detector_images_per_minute",),
            ("spi_detector_failures",), ("spi_database_up",)} <= after.keys()  # fmt: skip


def test_made_up_methods_make_no_numbers(client):
    before = numbers(client)
    for index in range(20):
        client.open("/healthz", method=f"MAKEUP{index}")
    new = numbers(client).keys() - before.keys()
    assert [name for name in new if "other" in name] and not [name for name in new if "MAKEUP" in str(name)]


def test_a_token_opens_the_metrics_from_anywhere_and_nothing_else_does(restart):
    client = restart(metrics_token="a token for monitors").test_client()
    far = {"environ_base": {"REMOTE_ADDR": "8.8.8.8"}}
    for sent in (None, "", "Bearer", "Bearer a token for monitor", "Basic a token for monitors", "Bearer \xe9"):
        headers = {} if sent is None else {"Authorization": sent}
        assert_error(client.get("/metrics", headers=headers), 401, "unauthorized")
    found = numbers(client, headers={"Authorization": "Bearer a token for monitors"}, **far)
    assert found["spi_database_up",] == 1
    assert "a token for monitors" not in repr(client.application.extensions["spi_dash"].config)


def test_requests_have_names(client):
    assert client.get("/healthz", headers={"X-Request-Id": "monitor-1234"}).headers["X-Request-Id"] == "monitor-1234"
    for bad in ("short", "x" * 65, "a b c d e f g h"):
        assert client.get("/healthz", headers={"X-Request-Id": bad}).headers["X-Request-Id"] != bad


def test_one_line_per_request_without_secrets(client, caplog):
    caplog.set_level(logging.INFO)
    token = client.post("/get_token", auth=ADMIN).json["token"]
    client.post("/get_users", auth=(token, ""))
    client.get("/files/raw_images/a.jpg?e=1&s=secret-signature")
    lines = [JsonLines().format(record) for record in caplog.records if record.name == "spi_dash.access"]
    found = [json.loads(line) for line in lines]
    assert [each["route"] for each in found] == ["/get_token", "/get_users", "/files/<path:key>"]
    assert [each["user"] for each in found] == ["admin", "admin", "-"]
    for secret in (ADMIN[1], token, "secret-signature", "Authorization"):
        assert secret not in "".join(lines) + caplog.text


def test_errors_as_json_carry_their_trace():
    try:
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "", 0, "it failed", (), (type(error), error, error.__traceback__)
        )
    found = json.loads(JsonLines().format(record))
    assert (found["message"], "ZeroDivisionError" in found["trace"]) == ("it failed", True)


def test_error_lines_name_their_request(server, caplog, monkeypatch):
    monkeypatch.setattr(server.extensions["spi_dash"].probes["database"], "failure", lambda: 1 / 0)
    answer = server.test_client().get("/readyz", headers={"X-Request-Id": "monitor-1234"})
    assert assert_error(answer, 500, "internal")["details"] == {"request_id": "monitor-1234"}
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    found = json.loads(JsonLines().format(record))
    assert (found["request_id"], "ZeroDivisionError" in found["trace"]) == ("monitor-1234", True)

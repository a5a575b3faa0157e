"""Generated requests over the OpenAPI document, as each role: no 5xx, and nothing that the document does not say."""

import subprocess
import sys
from pathlib import Path

import pytest
from live import ADMIN, PASSWORD, live_server, pictures

pytestmark = pytest.mark.stack

# Not asked: that valid requests are accepted, as a multipart schema cannot say what a trap's picture is.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,negative_data_rejection,unsupported_method,ignored_auth"
)
ROLES = {"writer": {"can_write": True}, "reader": {"can_write": False}}


@pytest.mark.parametrize("user", ["admin", "writer", "reader"])
def test_requests_that_nobody_thought_of(tmp_path, user):
    """Of the values drawn at random one role is enough: they are the same ones again."""
    with live_server(tmp_path) as live:
        with live.client() as client:
            client.put_users([{"username": name, "password": PASSWORD, **role} for name, role in ROLES.items()])
            for name, data in pictures(3).items():
                client.upload_image(name, data)
        phases = "examples,coverage,fuzzing,stateful" if user == "admin" else "examples,coverage"
        run = schemathesis(f"{live.url}/openapi.json", ADMIN if user == "admin" else user, phases)
    assert run.returncode == 0, run.stdout[-6000:]


def schemathesis(url: str, user: str, phases: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("schemathesis")
    options = [
        "--auth",
        f"{user}:{PASSWORD}",
        "--checks",
        CHECKS,
        "--phases",
        phases,
        "--max-examples",
        "8",
        "--workers",
        "1",
        "--seed",
        "1",
    ]
    return subprocess.run([program, "run", url, *options, "--no-color"], capture_output=True, text=True, timeout=280)

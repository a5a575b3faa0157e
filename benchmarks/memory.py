"""Memory of the server process over 500 changes of the range and 2000 steps of the viewer. Prints one JSON line.

    python benchmarks/memory.py [--database FILE] [--ranges 500] [--steps 2000]

Wants the SQLite file that `explore.py` seeded. Each step asks what the viewer asks: a frame, at times a strip and
the list of frames. `mb` is the resident memory at the start, after each 100, and at the end.
"""

import argparse
import contextlib
import html
import random
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import requests
from explore import START, STEP_S
from measure import ADMIN, Server, report, serving
from seeds import device_name

from spi_dash import db
from spi_dash.clock import unix_s, utcnow
from spi_dash.services import users

DAYS = (1, 3, 7, 14, 28, 90, 365)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", default="/tmp/spi-bench-explore.db", type=Path)
    parser.add_argument("--ranges", type=int, default=500)
    parser.add_argument("--steps", type=int, default=2000)
    arguments = parser.parse_args()
    choice = random.Random(1)
    with seeded(arguments.database) as folder, serving(folder) as server, sign_in(server) as session:
        memory = [server.memory_mb()]
        for number in range(1, arguments.ranges + 1):
            change_range(session, server.url, choice)
            if number % 100 == 0:
                memory.append(server.memory_mb())
        after_ranges = len(memory)
        for number in range(1, arguments.steps + 1):
            step(session, server.url, number)
            if number % 100 == 0:
                memory.append(server.memory_mb())
        mb = [round(each, 1) for each in memory]
        report(start=mb[0], ranges_mb=mb[1:after_ranges], steps_mb=mb[after_ranges:], highest=server.memory_mb("VmHWM"))


@contextlib.contextmanager
def seeded(file: Path) -> Iterator[Path]:
    """A data directory around the seeded file, in which the admin has the benchmarks' password."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "spi.db").symlink_to(file.resolve(strict=True))
        database = db.connect(f"sqlite:///{folder / 'spi.db'}")
        db.upgrade(database)
        with database.begin() as session:
            users.ensure_start_users(session, [ADMIN], utcnow())
            users.set_password(session, users.find_user_by_name(session, ADMIN[0]).id, ADMIN[1], utcnow())
        database.engine.dispose()
        yield folder


def sign_in(server: Server) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    form = session.get(f"{server.url}/sign-in", timeout=60).text
    csrf = html.unescape(form.split('name="csrf" value="')[1].split('"')[0])
    fields = {"username": ADMIN[0], "password": ADMIN[1], "csrf": csrf}
    session.post(f"{server.url}/sign-in", data=fields, timeout=60, allow_redirects=False).raise_for_status()
    return session


def change_range(session: requests.Session, url: str, choice: random.Random) -> None:
    """The callback of Explore, as Dash calls it."""
    end = START + timedelta(days=choice.randrange(30, 365))
    start = end - timedelta(days=choice.choice(DAYS))
    search = f"?start={start:%Y-%m-%dT%H:%MZ}&end={end:%Y-%m-%dT%H:%MZ}"
    outputs = [("explore-data", "data"), ("explore-summary", "children"), ("explore-empty", "children")]
    body = {
        "output": "..{}..".format("...".join(".".join(each) for each in outputs)),
        "outputs": [{"id": key, "property": name} for key, name in outputs],
        "inputs": [{"id": "shell-scope", "property": "data", "value": {"search": search}}],
        "changedPropIds": ["shell-scope.data"],
        "state": [{"id": "explore-drawn", "property": "data", "value": None}],
    }
    answer = session.post(f"{url}/_dash-update-component", json=body, timeout=60)
    answer.raise_for_status()
    assert "explore-data" in answer.json()["response"]


def step(session: requests.Session, url: str, number: int) -> None:
    device, taken_s = device_name(number % 50), unix_s(START) + number * STEP_S + 12 * (number % 50)
    paths = [f"{taken_s}/frame.json"]
    if number % 20 == 0:
        paths += [f"list.json?around={taken_s}", "strip/t9oueo.t9rmeo.t9ueeo.jpg"]
    for path in paths:
        session.get(f"{url}/frames/{device}/{path}", timeout=60).raise_for_status()


if __name__ == "__main__":
    main()

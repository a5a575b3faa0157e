"""Servers on two nodes of a Galera cluster: both write, one node is lost, the other one has everything."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from live import ADMIN, PASSWORD, pictures, plain_session
from stack.galera import galera_cluster
from stack.servers import Server, database_variables
from test_two_servers import look

from spi_dash import db
from spi_dash.client import SpiClient
from spi_dash.errors import SpiError, Unavailable

pytestmark = pytest.mark.stack
SENDERS = 4


def test_a_node_is_lost_while_pictures_come_to_both(tmp_path):
    with galera_cluster() as nodes:
        variables = [database_variables(node.url) for node in nodes]
        started = []
        try:
            for each in variables:  # the first one makes the tables: see docs/deploy.md
                started.append(Server(tmp_path / "data", each))
                assert started[-1].url
            files = send_while_killed(nodes[0], *started)
            with plain_session() as session:
                assert [session.get(f"{each.url}/readyz").status_code for each in started] == [503, 200]
            started.append(Server(tmp_path / "data", variables[1]))  # the first host's server, sent to the other node
            with SpiClient(started[-1].url, ADMIN, PASSWORD) as client:
                name, picture = next(iter(files.items()))
                [row] = client.get_images([{"device": name[:8], "datetime": name[9:28]}], "image")
                assert client.fetch(row["url"], row["md5"]) == picture
            for each in started:
                traces = [line for line in each.log().splitlines() if "Traceback" in line]
                # The pool says so where a connection breaks while it is given back; its request is over by then.
                assert [line for line in traces if '"logger": "sqlalchemy.pool' not in line] == []
        finally:
            for each in started:
                each.close()
        database = db.connect(nodes[1].url)
        try:
            report = look(database, tmp_path / "data" / "files")
        finally:
            database.engine.dispose()
        assert (report.images, dict(report.found)) == (len(files), {})


def send_while_killed(node, one, other):
    """Upload pictures to both servers and kill the first one's node; who hears 503 turns to the other one."""
    files, lock = pictures(200), threading.Lock()
    names, failures, sent, kill = iter(files), [], set(), threading.Event()

    def send(number):
        with SpiClient(one.url, ADMIN, PASSWORD, retries=0) as first, SpiClient(other.url, ADMIN, PASSWORD) as second:
            client = (first, second)[number % 2]
            while True:
                with lock:
                    name = next(names, None)
                    if len(sent) >= 60:
                        kill.set()
                if name is None:
                    return
                try:
                    client.upload_image(name, files[name])
                except SpiError as error:
                    assert isinstance(error, Unavailable) and client is first, error
                    failures.append(error)
                    client = second
                    client.upload_image(name, files[name])  # what was stored before the answer was lost is accepted
                with lock:
                    sent.add(name)

    with ThreadPoolExecutor(SENDERS) as pool:
        senders = [pool.submit(send, number) for number in range(SENDERS)]
        assert kill.wait(60)
        node.kill()
        for sender in senders:
            sender.result()
    assert failures  # it was killed under load
    assert sent == set(files)
    return files

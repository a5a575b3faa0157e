"""The wire contract once more, on a real MariaDB and a real S3 server: the same stories as on SQLite and in memory."""

import urllib.request
import uuid
from dataclasses import replace

import pytest
import sqlalchemy as sa
import test_api_annotations
import test_api_bundles
import test_api_images
import test_api_projects
import test_api_tuboids
import test_api_users
import test_wire
from test_api_annotations import *  # noqa: F403
from test_api_bundles import *  # noqa: F403
from test_api_images import *  # noqa: F403
from test_api_projects import *  # noqa: F403
from test_api_tuboids import *  # noqa: F403
from test_api_users import *  # noqa: F403
from test_wire import *  # noqa: F403

from spi_dash.models import Base
from spi_dash.storage import S3Storage

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def bucket(rgw):
    client, name = rgw.client(), f"contract-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=name)
    yield name
    client.close()


@pytest.fixture(scope="module")
def store(rgw, bucket):
    """One for all tests: botocore takes a third of a second to make a client."""
    store = S3Storage(rgw.host, bucket, rgw.access_key, rgw.secret_key, b"secret")
    yield store
    store.close()


@pytest.fixture
def storage(store):
    yield store
    store.delete([info.key for info in store.list("")])


@pytest.fixture
def config(config, mariadb_database):
    with mariadb_database.begin() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(sa.delete(table))
        for name in sa.inspect(session.connection()).get_table_names():
            if name.startswith("project_series_"):
                session.execute(sa.schema.DropTable(sa.Table(name, sa.MetaData())))
        for table in ("images", "uid_annotations", "users", "projects"):
            session.execute(sa.text(f"ALTER TABLE {table} AUTO_INCREMENT = 1"))
    return replace(config, database_url=mariadb_database.engine.url.render_as_string(hide_password=False))


class Fetched:
    """What a link of the S3 server answers, in the words of Flask's test client."""

    def __init__(self, answer):
        self.data, self.status_code, self.headers = answer.read(), answer.status, answer.headers
        self.content_type = answer.headers["Content-Type"]


@pytest.fixture
def client(client, rgw):
    """Links lead to the S3 server: these go there, all else to the app."""
    ask_app = client.get

    def get(url, **options):
        if not url.startswith(rgw.host):
            return ask_app(url, **options)
        with urllib.request.urlopen(url, timeout=30) as answer:
            return Fetched(answer)

    client.get = get
    return client


def test_no_story_hides_another_of_the_same_name():
    stories = (test_api_annotations, test_api_bundles, test_api_images, test_api_projects, test_api_tuboids)
    names = [name for module in (*stories, test_api_users, test_wire) for name in vars(module) if name[:5] == "test_"]
    assert len(names) == len(set(names)) > 100


# What our own server does with links to files on disk is not the S3 server's business.
for _name in ("links_cannot_be_altered", "browsers_can_cache_and_resume", "a_stored_file_that_is_gone"):
    del globals()[f"test_{_name}"]
del test_names_of_downloads_are_plain  # noqa: F821

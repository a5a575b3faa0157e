"""The server about itself, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from spi_dash.errors import InvalidInput, NotFound
from spi_dash.models import Image, UidAnnotation, UidIntent
from spi_dash.services import rollups, system
from spi_dash.storage import MemoryStorage

NOW, NIGHT = datetime(2026, 7, 1, 12), datetime(2026, 6, 30, 22)
VERSION = "1600000000-0123456789abcdef0123456789abcdef"


@pytest.fixture
def session(database):
    with database.begin() as session:
        yield session


@pytest.fixture
def storage():
    return MemoryStorage()


def add_images(session, count, annotated_by=()):
    """One picture each hour; (version, how many of them it has annotated)."""
    images = [
        Image(device="0a1b2c3d", datetime=NIGHT + timedelta(hours=i), md5="0" * 32, width=4, height=3,
              datetime_created=NOW)
        for i in range(count)
    ]  # fmt: skip
    session.add_all(images)
    session.flush()
    for minutes, (version, n) in enumerate(annotated_by):
        session.add_all(
            UidAnnotation(parent_image_id=image.id, algo_name="uid", algo_version=version, n_objects=1, json="[]",
                          datetime_created=NOW + timedelta(minutes=minutes))
            for image in images[:n]
        )  # fmt: skip
        session.flush()
    rollups.refresh_marked(session)
    return images


def add_bundle(storage, name="cards", **files):
    for path, data in {"output/model_final.pth": b"weights", "output/.version.txt": VERSION.encode(), **files}.items():
        if data is not None:
            storage.put(f"ml/{name}/{path}", data)


def test_a_server_that_no_detector_has_reported_to(session):
    add_images(session, 3)
    state = system.detector_state(session)
    assert (state.n_images, state.versions, state.last_result_at, state.n_claimed) == (3, [], None, 0)


def test_an_empty_server(session):
    state = system.detector_state(session)
    assert (state.n_images, state.versions) == (0, [])
    assert system.count_images(session) == 0
    assert system.database_size(session) > 0


def test_each_version_says_what_it_has_done_and_what_is_left(session):
    images = add_images(session, 5, [("1.9", 4), ("1.10", 2)])
    session.add(UidIntent(parent_image_id=images[4].id, datetime_created=NOW))
    session.flush()
    state = system.detector_state(session)
    newest, old = state.versions
    assert (newest.version, newest.n_annotated, newest.n_awaiting) == ("1.10", 2, 3)
    assert (old.version, old.n_annotated, old.n_awaiting) == ("1.9", 4, 1)
    assert newest.newest_day_s == int(NIGHT.replace(tzinfo=UTC, hour=0).timestamp())
    assert old.newest_day_s == newest.newest_day_s + 86_400
    assert (state.last_result_at, state.last_version) == (NOW + timedelta(minutes=1), "1.10")
    assert state.n_claimed == 1


def test_bundles_are_listed_with_size_and_version(storage):
    add_bundle(storage, "cards", **{"data/a.svg": b"12345"})
    add_bundle(storage, "empty", **{"output/model_final.pth": None, "output/.version.txt": None, "data/b.svg": b"1"})
    storage.put("raw_images/0a1b2c3d/x.jpg", b"no bundle")
    cards, empty = system.list_bundles(storage)
    assert (cards.name, cards.version, cards.has_weights) == ("cards", VERSION, True)
    assert cards.size == 5 + len(b"weights") + len(VERSION) and len(cards.files) == 3
    assert (empty.name, empty.version, empty.has_weights) == ("empty", "", False)


@pytest.mark.parametrize("text", [b"", b"<script>", b"\xff\xfe", b"1" * 47, b"x" * 5000])
def test_a_version_that_is_none_is_not_shown(storage, text):
    add_bundle(storage, **{"output/.version.txt": text})
    assert system.list_bundles(storage)[0].version == ""


def test_a_bundle_is_made_active_and_the_reference_again(session, storage):
    add_bundle(storage, "cards")
    assert system.active_bundle(session) is None
    system.activate_bundle(session, storage, "cards", 1, NOW)
    assert system.active_bundle(session) == "cards"
    system.activate_bundle(session, storage, None, 1, NOW)
    assert system.active_bundle(session) is None


def test_what_cannot_detect_cannot_be_active(session, storage):
    add_bundle(storage, "cards", **{"output/model_final.pth": None})
    with pytest.raises(NotFound):
        system.activate_bundle(session, storage, "card", 1, NOW)
    with pytest.raises(InvalidInput, match="model_final"):
        system.activate_bundle(session, storage, "cards", 1, NOW)
    assert system.active_bundle(session) is None


def test_upload_forms_take_exactly_one_file_each(storage):
    first, second = system.upload_forms(storage, "cards", ["data/a.svg", "output/.version.txt"], 100, NOW)
    grant = storage.verify_upload(first["fields"], NOW)
    assert (grant.key, grant.max_bytes) == ("ml/cards/data/a.svg", 100)
    assert storage.verify_upload(second["fields"], NOW).key == "ml/cards/output/.version.txt"


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("../x", ["a.svg"]),
        ("", ["a.svg"]),
        ("cards", ["../a.svg"]),
        ("cards", ["/etc/a.svg"]),
        ("cards", [""]),
        ("cards", []),
        ("cards", ["a.svg"] * 201),
    ],
)
def test_uploads_stay_in_their_bundle(storage, name, paths):
    with pytest.raises(InvalidInput):
        system.upload_forms(storage, name, paths, 100, NOW)


def test_stored_files_are_counted_and_remembered(session, storage):
    assert system.find_storage_size(session) is None
    add_bundle(storage)
    measured = system.measure_storage(storage, 1_000)
    assert (measured.n_files, measured.size) == (2, len(b"weights") + len(VERSION))
    for _ in range(2):
        system.keep_storage_size(session, measured, 1, NOW)
    assert system.find_storage_size(session) == measured

"""The settings page: who sees what, who may do what, and what is said when it is refused."""

import json
import re
from datetime import timedelta

import flask
import pytest
from conftest import ADMIN, NOON, READER, WRITER, multipart
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from spi_dash.clock import utcnow
from spi_dash.contract import Failure, Heartbeat
from spi_dash.errors import Conflict, Forbidden, InvalidInput, NotFound, TooManyRequests, Unauthorized
from spi_dash.pages import settings, settings_detector, settings_forms, settings_mine, settings_system, settings_users
from spi_dash.services import audit, credentials, detection, sign_ins, users

NEW, ALGO = "a new long password", "universal-insect-detector"
ADMIN_ACTIONS = {**settings_users.ACTIONS, **settings_detector.ACTIONS, **settings_system.ACTIONS}
SECTIONS = (
    settings_users.show_users,
    settings_detector.show_detector,
    settings_system.show_bundles,
    settings_system.show_server,
    settings_system.show_log,
)


@pytest.fixture
def asked(server, spi):
    """Call a callback for a user with a page session, or for nobody; `sign_in_id` is that of her session."""

    def ask(callback, *arguments, user=ADMIN[0], sign_in_id=None):
        with server.test_request_context("/_dash-update-component", environ_base={"REMOTE_ADDR": "192.0.2.1"}):
            if user is not None:
                with spi.read() as session:
                    flask.g.user = users.find_user_by_name(session, user)
                flask.g.sign_in_id = sign_in_id
            return callback(*arguments)

    return ask


@pytest.fixture
def find(spi):
    def find(name):
        with spi.read() as session:
            return users.find_user_by_name(session, name)

    return find


@pytest.fixture
def log(spi):
    def log():
        with spi.read() as session:
            return [(each.username, each.action, each.target, each.details) for each in audit.list_entries(session)[0]]

    return log


@pytest.fixture
def can_sign_in(spi):
    def check(username, password):
        given = (spi.config.secret_key, username, password, "192.0.2.9")
        try:
            return bool(credentials.check_password(spi.begin, spi.read, *given, utcnow(), spi.passwords))
        except Unauthorized:
            return False

    return check


def open_session(spi, name, client="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"):
    with spi.begin() as session:
        user = users.find_user_by_name(session, name)
        before = {each.id for each in sign_ins.list_sign_ins(session, user.id, utcnow())}
        sign_ins.open_page_session(session, spi.config.secret_key, user.id, client, "192.0.2.1", utcnow())
        return next(each.id for each in sign_ins.list_sign_ins(session, user.id, utcnow()) if each.id not in before)


def sign_in_ids(spi, name):
    with spi.read() as session:
        user = users.find_user_by_name(session, name)
        return {each.id for each in sign_ins.list_sign_ins(session, user.id, utcnow())}


def text_of(part) -> str:
    if isinstance(part, list | tuple):
        return " ".join(text_of(each) for each in part)
    if isinstance(part, Component):
        return text_of(getattr(part, "children", None))
    return "" if part is None else str(part)


def dialogs(part) -> dict:
    """Every dialog that can be opened from here, by title."""
    found = (json.loads(each) for each in buttons(part))
    return {dialog["title"]: dialog for dialog in found}


def buttons(part, kind="data-dialog"):
    if isinstance(part, list | tuple):
        for each in part:
            yield from buttons(each, kind)
    elif isinstance(part, Component):
        if carried := getattr(part, kind, None):
            yield carried
        yield from buttons(getattr(part, "children", None), kind)


# Who may


@pytest.mark.parametrize(("user", "error"), [(READER[0], Forbidden), (WRITER[0], Forbidden), (None, Unauthorized)])
def test_what_is_the_admins_is_refused_to_all_others(asked, accounts, log, user, error):
    before = log()
    for name, action in ADMIN_ACTIONS.items():
        with pytest.raises(error):
            asked(action, {"user_id": 1, "username": "x", "role": "admin", "password": NEW}, user=user)
        refused = asked(settings.act, {"n": 7, "action": name, "values": {}}, user=user)
        assert refused["n"] == 7 and refused["error"] and "said" not in refused
    assert log() == before


def test_nobody_does_or_sees_anything_without_signing_in(asked):
    for action in settings_mine.ACTIONS.values():
        with pytest.raises(Unauthorized):
            asked(action, {}, user=None)
    for show in (*SECTIONS, settings.show_mine):
        with pytest.raises(Unauthorized):
            asked(show, user=None)


def test_others_see_neither_the_admins_part_nor_an_error(asked, accounts):
    for show in SECTIONS:
        assert asked(show, user=READER[0]) == [] == asked(show, user=WRITER[0])
        assert text_of(asked(show)) != ""


def test_links_lead_to_the_sections_that_there_are(asked, accounts):
    assert asked(settings.show_mine, user=READER[0])[0] == []
    assert [link.children for link in asked(settings.show_mine)[0]] == ["You", "Users", "Detector", "Server", "Log"]


def test_every_dialog_asks_for_an_action_that_exists(asked, accounts):
    shown = [asked(settings.show_mine), *(asked(show) for show in SECTIONS)]
    found = dialogs(shown)
    assert {each["action"] for each in found.values()} - {"upload_bundle"} <= set(settings.ACTIONS)
    assert len(found) > 10


def test_over_http_only_who_is_signed_in_gets_an_answer(client):
    body = {"output": "settings-answer.data", "outputs": {"id": "settings-answer", "property": "data"},
            "inputs": [{"id": "settings-request", "property": "data", "value": {"n": 1, "action": "add_user"}}],
            "changedPropIds": ["settings-request.data"]}  # fmt: skip
    assert client.post("/_dash-update-component", json=body).status_code == 401
    assert client.get("/settings/preferences.json").status_code in (303, 401)


# Users


def test_a_user_is_added_with_a_password_that_is_shown_once(asked, find, can_sign_in, log):
    answer = asked(settings.act, {"n": 1, "action": "add_user", "values": {"username": " tessa ", "role": "admin"}})
    assert answer["said"] == "Added tessa." and "users" in answer["changes"]
    assert find("tessa").role == "admin" and find("tessa").api_user_id == find(ADMIN[0]).id
    assert can_sign_in("tessa", answer["secret"]["value"])
    assert log()[0] == (ADMIN[0], "user added", "tessa", "admin")
    assert answer["secret"]["value"] not in text_of([asked(show) for show in SECTIONS])


def test_a_typed_password_is_not_shown(asked, find, can_sign_in):
    values = {"username": "tessa", "role": "read_only_user", "password": NEW, "email": "tessa@example.org"}
    assert "secret" not in asked(settings_users.add_user, values)
    assert can_sign_in("tessa", NEW)
    assert (find("tessa").role, find("tessa").email) == ("read_only_user", "tessa@example.org")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("username", {"username": ""}),
        ("username", {"username": "a:b"}),
        ("username", {"username": ["a"]}),
        ("email", {"email": "nowhere"}),
        ("role", {"role": "king"}),
        ("role", {"role": None}),
        ("password", {"password": "short"}),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(asked, find, field, values):
    request = {"n": 1, "action": "add_user", "values": {"username": "tessa", "role": "read_only_user"} | values}
    answer = asked(settings.act, request)
    assert answer["field"] == field
    assert re.fullmatch(r"[A-Z].*\.", answer["error"])
    assert find("tessa") is None


def test_a_name_that_is_taken_is_refused(asked, accounts):
    answer = asked(settings.act, {"n": 1, "action": "add_user", "values": {"username": "READER", "role": "admin"}})
    assert "already" in answer["error"]


def test_a_user_is_edited(asked, accounts, find, log):
    values = {"user_id": find(READER[0]).id, "role": "read_write_user", "email": "new@example.org"}
    asked(settings_users.edit_user, values)
    assert (find(READER[0]).role, find(READER[0]).email) == ("read_write_user", "new@example.org")
    assert log()[0] == (ADMIN[0], "user changed", READER[0], "e-mail, read-only to read-write")
    entries = log()
    asked(settings_users.edit_user, values)
    assert log() == entries  # nothing was changed


def test_editing_keeps_who_is_disabled_disabled(asked, accounts, find):
    one = {"user_id": find(READER[0]).id}
    asked(settings_users.disable_user, one)
    asked(settings_users.edit_user, {**one, "role": "admin"})
    assert find(READER[0]).disabled_at is not None


def test_a_reset_password_ends_all_sign_ins(asked, accounts, spi, find, can_sign_in, log):
    open_session(spi, READER[0])
    answer = asked(settings_users.reset_password, {"user_id": find(READER[0]).id})
    assert can_sign_in(READER[0], answer["secret"]["value"]) and not can_sign_in(*READER)
    assert sign_in_ids(spi, READER[0]) == set()
    assert log()[0] == (ADMIN[0], "password reset", READER[0], "")


def test_disabled_users_are_signed_out_and_enabled_ones_come_back(asked, accounts, spi, find, can_sign_in, log):
    open_session(spi, READER[0])
    asked(settings_users.disable_user, {"user_id": find(READER[0]).id})
    assert sign_in_ids(spi, READER[0]) == set() and not can_sign_in(*READER)
    assert "disabled" in text_of(asked(settings_users.show_users))
    assert "Enable reader?" in dialogs(asked(settings_users.show_users))
    asked(settings_users.enable_user, {"user_id": find(READER[0]).id})
    assert can_sign_in(*READER)
    assert [each[1] for each in log()[:2]] == ["user enabled", "user disabled"]


def test_deleting_names_the_user(asked, accounts, find, log):
    one = {"user_id": find(READER[0]).id}
    with pytest.raises(Conflict, match="reload"):
        asked(settings_users.delete_user, {**one, "username": WRITER[0]})
    dialog = dialogs(asked(settings_users.show_users))["Delete reader?"]
    assert dialog["verb"] == "Delete reader" and dialog["danger"]
    asked(settings.act, {"n": 1, "action": dialog["action"], "values": dialog["values"]})
    assert find(READER[0]) is None
    assert log()[0] == (ADMIN[0], "user deleted", READER[0], "read-only")
    with pytest.raises(NotFound):
        asked(settings_users.delete_user, {**one, "username": READER[0]})


@pytest.mark.parametrize("action", ["delete_user", "disable_user", "edit_user", "reset_password"])
def test_nobody_takes_her_own_rights(asked, find, log, action):
    before, entries = find(ADMIN[0]), log()
    values = {"user_id": before.id, "username": ADMIN[0], "role": "read_only_user", "password": NEW}
    with pytest.raises(Conflict):
        asked(settings_users.ACTIONS[action], values)
    assert find(ADMIN[0]) == before and log() == entries
    assert not any(title.endswith(f" {ADMIN[0]}?") for title in dialogs(asked(settings_users.show_users)))


def test_the_last_admin_who_can_sign_in_stays(asked, find, spi):
    asked(settings_users.disable_user, {"user_id": find(spi.config.uid_user).id})
    asked(settings_users.add_user, {"username": "eve", "role": "admin", "password": NEW})
    asked(settings_users.disable_user, {"user_id": find(ADMIN[0]).id}, user="eve")
    for action in ("delete_user", "disable_user", "edit_user"):
        values = {"user_id": find("eve").id, "username": "eve", "role": "read_only_user"}
        # An admin who was disabled a moment ago, in a request that was on its way.
        with pytest.raises(Conflict, match="last admin"):
            asked(settings_users.ACTIONS[action], values, user=ADMIN[0])
    assert find("eve").role == "admin" and find("eve").disabled_at is None


def test_users_that_are_none_are_refused(asked):
    for user_id in (None, "1", True, 10_000, [1]):
        for action in ("edit_user", "reset_password", "disable_user", "delete_user"):
            values = {"user_id": user_id, "username": "x", "role": "admin"}
            answer = asked(settings.act, {"n": 1, "action": action, "values": values})
            assert answer["error"] and "Something went wrong" not in answer["error"]


# Oneself


def test_a_changed_password_ends_the_other_sign_ins(asked, accounts, spi, can_sign_in, log):
    kept, other = open_session(spi, READER[0]), open_session(spi, READER[0])
    values = {"current": READER[1], "password": NEW, "repeated": NEW}
    answer = asked(settings_mine.change_password, values, user=READER[0], sign_in_id=kept)
    assert "everywhere else" in answer["said"]
    assert sign_in_ids(spi, READER[0]) == {kept} != {other}
    assert can_sign_in(READER[0], NEW) and not can_sign_in(*READER)
    assert log()[0] == (READER[0], "password changed", READER[0], "")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("current", {"current": "wrong"}),
        ("current", {"current": ""}),
        ("password", {"password": "ten chars.", "repeated": "ten chars."}),
        ("repeated", {"repeated": "another password"}),
    ],
)
def test_a_password_is_not_changed_by_mistake(asked, accounts, can_sign_in, field, values):
    values = {"current": READER[1], "password": NEW, "repeated": NEW} | values
    with pytest.raises(InvalidInput) as caught:
        asked(settings_mine.change_password, values, user=READER[0])
    assert caught.value.details["field"] == field
    assert can_sign_in(*READER)


def test_guessing_the_current_password_is_throttled(asked, accounts, monkeypatch):
    monkeypatch.setattr(settings_mine, "utcnow", lambda: NOON)  # or the wait might be over
    for i in range(5):
        with pytest.raises(InvalidInput):
            values = {"current": f"guess {i}", "password": NEW, "repeated": NEW}
            asked(settings_mine.change_password, values, user=READER[0])
    with pytest.raises(TooManyRequests):
        asked(settings_mine.change_password, {**values, "current": "one more"}, user=READER[0])


def test_one_ends_ones_own_sign_ins_and_nobody_elses(asked, accounts, spi):
    mine, other, theirs = (open_session(spi, name) for name in (READER[0], READER[0], WRITER[0]))
    with pytest.raises(NotFound):
        asked(settings_mine.end_sign_in, {"sign_in_id": theirs}, user=READER[0], sign_in_id=mine)
    shown = text_of(asked(settings.show_mine, user=READER[0], sign_in_id=mine))
    assert shown.count("Firefox on Linux") == 2 and shown.count("this browser") == 1
    ids = sign_in_ids(spi, READER[0])
    assert ids == {mine, other}
    asked(settings_mine.end_other_sign_ins, {}, user=READER[0], sign_in_id=mine)
    assert sign_in_ids(spi, READER[0]) == {mine}
    asked(settings_mine.end_sign_in, {"sign_in_id": mine}, user=READER[0])
    assert sign_in_ids(spi, READER[0]) == set() and sign_in_ids(spi, WRITER[0]) == {theirs}


def test_preferences_are_ones_own(asked, accounts):
    asked(settings_mine.choose_preference, {"name": "zone", "value": "utc"}, user=READER[0])
    asked(settings_mine.choose_preference, {"name": "theme", "value": "dark"}, user=READER[0])
    assert asked(settings.get_preferences, user=READER[0]).json == {"zone": "utc", "theme": "dark"}
    assert asked(settings.get_preferences).json == {"zone": "site", "theme": "auto"}
    for name, value in (("zone", "mars"), ("language", "en"), ("theme", "")):
        answer = asked(settings.act, {"n": 1, "action": "choose_preference", "values": {"name": name, "value": value}})
        assert answer["error"]


def test_programs_have_names():
    def text(client):
        values = {"id": "", "kind": "page", "address": "", "created_at": None, "seen_at": None, "expires_at": None}
        return settings_forms.client_text(sign_ins.SignInInfo(**values | {"client": client}))

    assert text("Mozilla/5.0 (Windows NT 10.0) AppleWebKit Chrome/140 Safari/537 Edg/140") == "Edge on Windows"
    assert text("Mozilla/5.0 (iPhone; CPU like Mac OS X) Version/18 Safari/604") == "Safari on iPhone"
    assert text("python-requests/2.32") == "python-requests/2.32"
    assert text("") == "unknown program"


# The server


def test_without_a_detector_the_page_says_so(asked, make_image):
    assert "No detector has reported yet" in text_of(asked(settings_detector.show_detector))
    make_image()
    assert "1 picture is waiting." in text_of(asked(settings_detector.show_detector))


def report(spi, *failed, version="1600000000-0123abcd", seen_s=0, **said):
    """A worker says how it goes, and that it could not do some pictures."""
    now = utcnow() - timedelta(seconds=seen_s)
    values = {"algo_version": version, "images_done": 12, "images_failed": 1, "images_per_minute": 2.0, **said}
    with spi.begin() as session:
        detection.record_heartbeat(session, Heartbeat(worker="barn", **values), now)
        for row in failed:
            key = {"device": row["device"], "datetime": row["datetime"], "worker": "barn", "reason": "no light at all"}
            assert detection.record_failure(session, Failure(algo_name=ALGO, algo_version=version, **key), now)


def active_version(spi):
    with spi.read() as session:
        return detection.active_bundle(session, spi.storage)[1]


def test_a_running_detector_is_shown_with_queue_speed_and_last_error(asked, spi, make_image):
    failed, *_ = [make_image(at=NOON + timedelta(hours=hour)) for hour in range(6)]
    report(spi, failed, version=active_version(spi), last_error="the disk is full")
    shown = text_of(asked(settings_detector.show_detector))
    assert "5 of 6 pictures awaiting detection, 2 min at this speed" in shown
    assert "2.0 pictures per minute" in shown and "the disk is full" in shown and "barn" in shown
    assert "No detector" not in shown


def test_a_detector_that_is_silent_is_said(asked, spi, make_image):
    make_image()
    report(spi, seen_s=7200)
    shown = text_of(asked(settings_detector.show_detector))
    assert "No detector is running. The last was heard of 2 h ago." in shown
    assert "nothing is being done now" in shown


def test_an_active_bundle_without_a_version_is_said(asked, spi, make_image):
    spi.storage.put("ml/cards/output/model_final.pth", b"1")
    spi.storage.put("ml/cards/output/.version.txt", b"1-a")
    asked(settings_system.activate_bundle, {"bundle": "cards"})
    spi.storage.delete(["ml/cards/output/.version.txt"])
    report(spi)
    assert "has no version" in text_of(asked(settings_detector.show_detector))


def test_failed_pictures_are_shown_with_reason_and_link_and_are_retried(asked, spi, make_image, log):
    rows = [make_image(at=NOON + timedelta(hours=hour)) for hour in range(3)]
    report(spi, *rows[:2])
    report(spi, rows[2], version="2-b")
    section = asked(settings_detector.show_detector)
    assert "no light at all" in text_of(section) and "2 pictures of version  1600000000" in text_of(section)
    assert "/image/0a1b2c3d/2022-07-01_12-00-00?zone=utc" in str(section)
    acts = {json.loads(each)["values"].get("picture"): json.loads(each) for each in buttons(section, "data-act")}
    one = acts["0a1b2c3d 2022-07-01 12:00:00"]
    assert "again" in asked(settings.act, {"n": 1, **one})["said"]
    assert "no longer" in asked(settings.act, {"n": 2, **one})["said"]
    first = {"action": "retry_version", "values": {"name": ALGO, "version": "1600000000-0123abcd"}}
    assert asked(settings.act, {"n": 3, **first})["said"] == "Detectors try 1 picture again."
    with spi.read() as session:
        assert detection.count_failures(session) == [(ALGO, "2-b", 1)]
    assert [each[1:] for each in log()[:2]] == [
        ("failures retried", "1600000000-0123abcd", "1 picture"),
        ("failures retried", "0a1b2c3d 2022-07-01 12:00:00", "1 picture"),
    ]


def test_of_many_failed_pictures_the_latest_are_shown(asked, spi, make_image, monkeypatch):
    monkeypatch.setattr(settings_detector, "SHOWN_FAILURES", 1)
    report(spi, *[make_image(at=NOON + timedelta(hours=hour)) for hour in range(3)])
    assert "and 2 older ones" in text_of(asked(settings_detector.show_detector))


def test_a_bundle_is_uploaded_by_signed_forms_and_made_active(asked, client, log):
    files = {"output/model_final.pth": b"weights", "output/.version.txt": b"1600000000-0123abcd"}
    answer = asked(settings_system.start_upload, {"bundle": "cards", "paths": list(files)})
    for form, data in zip(answer["forms"], files.values(), strict=True):
        sent = client.post(form["url"], **multipart({**form["fields"], "file": ("file", data)}))
        assert sent.status_code == 204
    shown = text_of(asked(settings_system.show_bundles))
    assert "cards" in shown and "1600000000-0123abcd" in shown and "2 files, 26 bytes" in shown
    use = dialogs(asked(settings_system.show_bundles))["Use cards?"]
    assert asked(settings.act, {"n": 1, "action": use["action"], "values": use["values"]})["said"]
    assert "Use the reference model?" in dialogs(asked(settings_system.show_bundles))
    assert [each[1:] for each in log()[:2]] == [
        ("active bundle changed", "cards", "was reference model"),
        ("bundle uploaded", "cards", "2 files"),
    ]


def test_uploads_that_make_no_sense_are_refused(asked, log):
    entries = log()
    for values in ({}, {"paths": "x"}, {"paths": [1]}, {"bundle": "a", "paths": ["../x"]}):
        answer = asked(settings.act, {"n": 1, "action": "start_upload", "values": values})
        assert answer["error"] and "Something went wrong" not in answer["error"]
    assert log() == entries


def test_an_active_bundle_whose_files_are_gone_is_shown(asked, spi):
    for path in ("output/model_final.pth", "output/.version.txt"):
        spi.storage.put(f"ml/cards/{path}", b"1-a")
    asked(settings_system.activate_bundle, {"bundle": "cards"})
    spi.storage.delete([info.key for info in spi.storage.list("ml/")])
    assert "its files are gone" in text_of(asked(settings_system.show_bundles))


def test_sizes_and_version(asked, make_image):
    make_image()
    assert "not counted yet" in text_of(asked(settings_system.show_server))
    asked(settings_system.measure_storage, {})
    shown = text_of(asked(settings_system.show_server))
    assert "in 3 files, counted" in shown and "Spi Dash 0" in shown


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (99_960, "100 kB"),
        (999_960, "1.0 MB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes_in_words(size, words):
    assert settings_forms.size_text(size) == words


def test_the_log_is_paged(asked, spi, find):
    with spi.begin() as session:
        for i in range(audit.PAGE + 1):
            audit.record(session, find(ADMIN[0]), "password reset", f"user {i}", utcnow())
        oldest_shown = audit.list_entries(session)[0][-1]
    first = text_of(asked(settings_system.show_log))
    assert "Older" in first and "user 50" in first and "user 0 " not in first
    second = text_of(asked(settings_system.show_log, oldest_shown.id))
    assert "Newest" in second and "user 0" in second and "Older" not in second


# Actions


def test_an_action_that_does_not_exist_is_refused(asked):
    for action in ("", None, "drop_tables", ["x"]):
        assert "reload" in asked(settings.act, {"n": 1, "action": action})["error"]
    assert "values" in asked(settings.act, {"n": 1, "action": "add_user", "values": ["x"]})["error"]
    with pytest.raises(PreventUpdate):
        asked(settings.act, None)


def test_a_bug_is_one_sentence_with_the_id_of_the_request(asked, monkeypatch, caplog):
    monkeypatch.setitem(settings.ACTIONS, "broken", lambda values: 1 / 0)
    answer = asked(settings.act, {"n": 1, "action": "broken"})
    assert "Something went wrong" in answer["error"] and "division" not in str(answer)
    assert "ZeroDivisionError" in caplog.text

"""The settings page, as an admin and a reader use it."""

import re
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from browser.lab import TRAPS, sign_in
from live import ADMIN, PASSWORD
from playwright.sync_api import expect

from spi_dash.clock import utcnow
from spi_dash.contract import Failure, Heartbeat
from spi_dash.services import detection, system

pytest_plugins = ["browser.fixtures"]
READER, READERS = "reader", "the reader's password"


@pytest.fixture
def settings(page, lab):
    page.goto(f"{lab.url}/settings")
    expect(page.get_by_role("heading", name="Users", exact=True)).to_be_visible()
    return page


@pytest.fixture
def reader(lab):
    """A read-only account, new for each test."""
    client, auth = lab.app.test_client(), (ADMIN, PASSWORD)
    client.post("/delete_users", json=[{"username": READER}], auth=auth)
    account = {"username": READER, "password": READERS, "can_write": 0}
    assert client.post("/put_users", json=[account], auth=auth).status_code == 200
    return READER, READERS


@contextmanager
def other_browser(browser, lab, username, password, target="/settings", **options):
    """Somebody else, or the same person elsewhere; errors in the console fail the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, **options)
    page, errors = context.new_page(), []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    sign_in(context, lab, username, password)
    page.goto(lab.url + target)
    yield page
    context.close()
    assert [each for each in errors if "401 (UNAUTHORIZED)" not in each] == []  # refused when it was signed out


def expect_signed_out(page, lab):
    """Refused at once; the open page finds out by itself and goes to the form (a reload might cross that)."""
    assert page.request.get(f"{lab.url}/settings", max_redirects=0).status == 303
    expect(page).to_have_url(re.compile(r"/sign-in\?expired=1&next=%2Fsettings$"))


def row(page, name):
    return page.locator(".users tbody tr", has=page.locator("b", has_text=re.compile(f"^{name}$")))


def choose_from_menu(page, name, words):
    page.get_by_label(f"More for {name}").click()
    row(page, name).get_by_role("button", name=words, exact=True).click()
    return page.locator("dialog")


def test_an_admin_adds_edits_disables_and_deletes_a_user(settings, browser, lab):
    page, dialog = settings, settings.locator("dialog")
    page.get_by_role("button", name="Add user").click()
    expect(dialog.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.locator("[data-name=username] .problem")).to_have_text("This is needed.")
    dialog.get_by_label("Name", exact=True).fill("admin")
    page.keyboard.press("Enter")
    expect(dialog.locator(".problem:visible")).to_contain_text("already")
    dialog.get_by_label("Name", exact=True).fill("tessa")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("heading")).to_have_text("The password of tessa")
    password = dialog.locator("code").inner_text()
    dialog.get_by_role("button", name="Done").click()
    expect(row(page, "tessa")).to_contain_text("read-only")
    with other_browser(browser, lab, "tessa", password) as hers:
        expect(hers.get_by_role("heading", name="Your account")).to_be_visible()

        page.get_by_label("Edit tessa").click()
        dialog.get_by_label("E-mail").fill("tessa@example.org")
        dialog.get_by_label("read-write").check()
        dialog.get_by_role("button", name="Save").click()
        expect(row(page, "tessa")).to_contain_text("read-writetessa@example.org")
        expect(page.locator(".log tbody tr").first).to_contain_text("e-mail, read-only to read-write")

        choose_from_menu(page, "tessa", "Disable").get_by_role("button", name="Disable tessa").click()
        expect(row(page, "tessa")).to_contain_text("disabled")
        expect_signed_out(hers, lab)
    choose_from_menu(page, "tessa", "Enable").get_by_role("button", name="Enable tessa").click()
    expect(row(page, "tessa")).not_to_contain_text("disabled")

    choose_from_menu(page, "tessa", "Delete")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_label("More for tessa")).to_be_focused()
    choose_from_menu(page, "tessa", "Delete").get_by_role("button", name="Delete tessa").click()
    expect(row(page, "tessa")).to_have_count(0)
    expect(page.locator(".log tbody tr").first).to_contain_text("user deleted")


def test_a_reader_sees_only_her_own_part(browser, lab, reader):
    with other_browser(browser, lab, *reader) as page:
        expect(page.get_by_role("heading", level=2)).to_have_text(
            ["Your account", "Preferences", "Where you are signed in"]
        )
        expect(page.get_by_role("button", name="Add user")).to_have_count(0)
        expect(page.locator(".toast.shown")).to_have_count(0)
        answer = page.evaluate("spi.settings.act('add_user', {username: 'mallory', role: 'admin', password: ''})")
        assert "needs the role admin" in answer["error"]


def test_a_new_password_signs_other_browsers_out(browser, lab, reader):
    with other_browser(browser, lab, *reader) as page, other_browser(browser, lab, *reader) as elsewhere:
        expect(elsewhere.get_by_role("heading", name="Your account")).to_be_visible()
        dialog = page.locator("dialog")
        page.get_by_role("button", name="Change password").click()
        for label, words in (("Current password", "wrong"), ("New password", "the newest password"),
                             ("New password again", "the newest password")):  # fmt: skip
            dialog.get_by_label(label, exact=True).fill(words)
        dialog.get_by_role("button", name="Change password").click()
        expect(dialog.locator("[data-name=current] .problem")).to_have_text("This is not your current password.")
        dialog.get_by_label("Current password").fill(READERS)
        page.keyboard.press("Enter")
        expect(dialog).to_have_count(0)
        expect(page.locator(".toast.shown")).to_contain_text("signed out everywhere else")
        expect(page.locator(".sign-ins tbody tr")).to_have_count(1)
        page.reload()
        expect(page.get_by_role("heading", name="Your account")).to_be_visible()
        expect_signed_out(elsewhere, lab)
        sign_in(elsewhere.context, lab, READER, "the newest password")
        elsewhere.goto(f"{lab.url}/settings")
        expect(elsewhere.get_by_role("heading", name="Your account")).to_be_visible()


def test_one_sign_in_is_ended(browser, lab, reader):
    with other_browser(browser, lab, *reader) as elsewhere, other_browser(browser, lab, *reader) as page:
        expect(page.locator(".sign-ins tbody tr")).to_have_count(2)
        page.get_by_role("button", name="Sign out Chrome").click()
        expect(page.locator(".sign-ins tbody tr")).to_have_count(1)
        expect_signed_out(elsewhere, lab)


def test_theme_and_zone_survive_a_reload_and_another_browser(browser, lab, reader):
    with other_browser(browser, lab, *reader) as page:
        html = page.locator("html")
        page.get_by_role("button", name="Dark", exact=True).and_(page.locator(".choice")).click()
        expect(html).to_have_attribute("data-mantine-color-scheme", "dark")
        page.get_by_role("button", name="UTC", exact=True).click()
        expect(page.get_by_role("button", name="UTC", exact=True)).to_have_attribute("aria-pressed", "true")
        page.goto(f"{lab.url}/?start=2022-07-01&end=2022-07-01")
        page.wait_for_url("**zone=utc**")
        expect(html).to_have_attribute("data-mantine-color-scheme", "dark")
        page.goto(f"{lab.url}/?start=2022-07-01&end=2022-07-01&zone=site")
        page.wait_for_selector(".row canvas")
        assert "zone=site" in page.url
    with other_browser(browser, lab, *reader, target="/settings", color_scheme="light") as page:
        expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
        page.wait_for_url("**zone=utc**")
        expect(page.get_by_role("button", name="UTC", exact=True)).to_have_attribute("aria-pressed", "true")


def test_a_bundle_is_uploaded_and_made_active(settings, tmp_path):
    page, dialog = settings, settings.locator("dialog")
    for path in ("my-cards/output/model_final.pth", "my-cards/config/config.yaml", "my-cards/output/checkpoint.pt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "my-cards/output/.version.txt").write_text("1600000000-0123abcd\n")
    page.get_by_role("button", name="Upload a bundle").click()
    dialog.get_by_label("Folder of the bundle").set_input_files(tmp_path / "my-cards")
    expect(dialog.get_by_label("Name on the server")).to_have_value("my-cards")
    dialog.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator(".toast.shown")).to_contain_text("Uploaded 3 files to my-cards")
    mine = page.locator(".bundles tbody tr", has_text="my-cards")
    expect(mine).to_contain_text("1600000000-0123abcd")
    page.get_by_label("Use my-cards").click()
    dialog.get_by_role("button", name="Use my-cards").click()
    expect(mine).to_contain_text("active")
    page.get_by_label("Use the reference model").click()
    dialog.get_by_role("button", name="Use the reference model").click()
    expect(mine).not_to_contain_text("active")


ALGO, OLD = "universal-insect-detector", "1600000000-0123abcd"
REASON = "The picture ends in the middle: 31337 of 2097152 bytes, and what is there is darker than any card"


@pytest.fixture
def detectors(lab):
    """One that works, one that fell silent, and pictures that two versions have given up."""
    with lab.spi.begin() as session:
        _, active = detection.active_bundle(session, lab.spi.storage)
        for worker, ago, said in (
            ("barn", timedelta(seconds=5), {"images_done": 1204, "images_failed": 3, "images_per_minute": 2.5}),
            ("greenhouse", timedelta(hours=2), {"images_done": 7, "last_error": "the disk is full"}),
        ):
            said = {"images_failed": 0, "images_per_minute": 0, **said}
            beat = Heartbeat(worker=worker, algo_version=active, **said)
            detection.record_heartbeat(session, beat, utcnow() - ago)
        for version, n in ((active, 2), (OLD, 1)):
            for i in range(n):
                key = {"device": TRAPS[i], "datetime": "2022-07-01", "worker": "barn", "reason": REASON}
                failure = Failure(algo_name=ALGO, algo_version=version, **key)
                assert detection.record_failure(session, failure, utcnow())
    yield active
    with lab.spi.begin() as session:
        for version in (active, OLD):
            detection.retry_failures(session, of=(ALGO, version))


def test_an_admin_sees_detectors_and_lets_failed_pictures_be_tried_again(detectors, settings):
    section = settings.get_by_role("region", name="Detector", exact=True)
    barn = section.locator(".workers tbody tr", has_text="barn")
    expect(barn).to_contain_text("just now")
    expect(barn).to_contain_text(re.compile("1.204"))
    silent = section.locator(".workers tbody tr", has_text="greenhouse")
    expect(silent).to_contain_text("2 h ago")
    expect(silent).to_contain_text("the disk is full")
    expect(section.locator(".facts")).to_contain_text("2.5 pictures per minute")
    failures = section.locator(".failures tbody tr")
    expect(failures).to_have_count(3)
    expect(failures.first).to_contain_text(REASON)

    name = f"{TRAPS[1]} 2022-07-01 00:00:00"
    failures.get_by_role("button", name=f"Retry {name}").click()
    expect(settings.locator(".toast.shown")).to_contain_text("Detectors try this picture again.")
    expect(failures).to_have_count(2)
    section.get_by_role("button", name=f"Retry all of version {OLD}").focus()
    settings.keyboard.press("Enter")
    expect(failures).to_have_count(1)
    expect(settings.locator(".log tbody tr").first).to_contain_text("failures retried")
    failures.get_by_role("link").click()
    expect(settings.locator(".viewer-title")).to_contain_text("2022-07-01 00:00")


def test_a_section_is_drawn_although_another_one_changes_meanwhile(settings, lab):
    """The queue is looked at every ten seconds, also while an answer about users is on its way."""
    page, held = settings, []
    expect(page.get_by_role("heading", name="Detector", exact=True)).to_be_visible()

    def of(section):
        return lambda message: (
            f'"settings-{section}.children"' in (getattr(message, "request", message).post_data or "")
        )

    page.route("**/_dash-update-component*", lambda r: held.append(r) if of("users")(r.request) else r.continue_())
    account = [{"username": "olga", "password": READERS}]
    assert lab.app.test_client().post("/put_users", json=account, auth=(ADMIN, PASSWORD)).status_code == 200
    with page.expect_request(of("users")):
        page.evaluate("spi.settings.redraw(['users'])")
    with page.expect_response(of("detector")):
        page.evaluate("spi.settings.redraw(['detector'])")
    [route] = held
    route.continue_()
    expect(row(page, "olga")).to_be_visible()
    page.unroute_all()


def test_a_broken_server_leaves_the_page_usable(settings):
    page, dialog = settings, settings.locator("dialog")
    page.evaluate("spi.settings.act = () => Promise.resolve({error: 'Something went wrong.', id: 'abc', field: ''})")
    page.get_by_role("button", name="Add user").click()
    dialog.get_by_label("Name", exact=True).fill("tessa")
    page.keyboard.press("Enter")
    expect(dialog.locator("form > .problem")).to_have_text("Something went wrong. (request abc)")
    expect(dialog.get_by_role("button", name="Add user")).to_be_enabled()


def test_stored_files_are_counted_and_nobody_waits_for_it(settings, monkeypatch):
    go_on, measure = threading.Event(), system.measure_storage
    monkeypatch.setattr(system, "measure_storage", lambda *arguments: go_on.wait(60) and measure(*arguments))
    settings.get_by_role("button", name="Count now").click()
    settings.evaluate("spi.settings.act('choose_preference', {name: 'theme', value: 'light'})")  # is answered meanwhile
    go_on.set()
    expect(settings.locator(".facts", has_text="Stored files")).to_contain_text("counted")
    expect(settings.get_by_role("button", name="Count again")).to_be_visible()

import threading
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from spi_dash.errors import ConfigError, Conflict, Forbidden, InvalidInput, NotFound
from spi_dash.models import SignIn, User
from spi_dash.services import sign_ins, users
from spi_dash.services.filters import like

NOW = datetime(2026, 7, 1, 12)
ACCOUNTS = [("admin", "admin password"), ("spi_uid", "uid password")]


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch):
    """Passwords have a test of their own."""
    monkeypatch.setattr(users, "hash_password", lambda password: f"hash of {password}")


@pytest.fixture
def session(database):
    with database.begin() as session:
        yield session


@pytest.fixture
def add(session):
    def add(username="ada", **values):
        return users.add_user(session, **{"username": username, "password": "R3ad_0nly", "now": NOW} | values)

    return add


def names(found):
    return [user.username for user in found]


def test_a_new_user_may_write_and_is_no_admin(session, add):
    user = add("ada", email="", created_by=7)
    assert users.get_user(session, user.id) == user == users.find_user_by_name(session, "ada")
    assert (user.email, user.api_user_id, user.datetime_created, user.disabled_at) == ("", 7, NOW, None)
    assert user.api_version and user.role == "read_write_user"
    assert "password" not in repr(user) and "R3ad_0nly" not in repr(user)


@pytest.mark.parametrize(
    ("is_admin", "can_write", "role"),
    [
        (False, False, "read_only_user"),
        (True, False, "read_only_user"),
        (False, True, "read_write_user"),
        (True, True, "admin"),
    ],
)
def test_roles_follow_the_contract(add, is_admin, can_write, role):
    user = add(is_admin=is_admin, can_write=can_write)
    assert user.role == role
    for needed in users.ROLES:
        if users.ROLES.index(needed) <= users.ROLES.index(role):
            users.require_role(user, needed)
        else:
            with pytest.raises(Forbidden):
                users.require_role(user, needed)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("username", {"username": ""}),
        ("username", {"username": "a" * 33}),
        ("username", {"username": "a:b"}),
        ("username", {"username": " ada"}),
        ("username", {"username": "ada "}),
        ("username", {"username": "a\nb"}),
        ("username", {"username": "a\0b"}),
        ("username", {"username": "\ud800"}),
        ("email", {"email": "a" * 65}),
        ("email", {"email": "a\nb@example.org"}),
    ],
)
def test_what_no_user_can_have_is_refused_by_name(session, add, field, values):
    with pytest.raises(InvalidInput) as caught:
        add(**values)
    assert caught.value.details["field"] == field
    assert users.list_users(session) == []


def test_names_are_taken_whatever_their_case_and_addresses_are_free(session, add):
    add("ada", email="")
    for name in ("ada", "ADA"):
        with pytest.raises(Conflict, match="already"):
            add(name)
    add("Käfer forschung", email="")
    assert names(users.list_users(session)) == ["ada", "Käfer forschung"]


def test_names_are_found_exactly(session, add):
    add("spi_uid")
    add("Ada")
    for name in ("spiXuid", "ada", "Ada ", "%", "", "Adá"):
        assert users.find_user_by_name(session, name) is None
    with pytest.raises(NotFound):
        users.get_user(session, 10_000)


def test_filters_are_like_patterns(session, add):
    ada, bob = add("ada", email="ada@example.org", is_admin=True), add("bob_1", can_write=False, created_by=3)
    old = add("bobX1", email="", now=datetime(2021, 2, 3, 4, 5, 6))
    cases = [
        (None, [ada, bob, old]),
        ([{}], [ada, bob, old]),
        ([], []),
        ([{"username": "%"}], [ada, bob, old]),
        ([{"username": "ADA"}], [ada]),
        ([{"username": "bob_1"}], [bob, old]),
        ([{"username": r"bob\_1"}], [bob]),
        ([{"username": "b%1"}], [bob, old]),
        ([{"username": "%1%b%"}], []),
        ([{"username": "bob"}], []),
        ([{"id": ada.id}], [ada]),
        ([{"id": float(ada.id)}], [ada]),
        ([{"id": str(bob.id)}], [bob]),
        ([{"is_admin": True}], [ada]),
        ([{"is_admin": 1}], [ada]),
        ([{"is_admin": "0"}], [bob, old]),
        ([{"can_write": False}], [bob]),
        ([{"email": "%"}], [ada, old]),
        ([{"email": ""}], [old]),
        ([{"email": None}], []),
        ([{"api_user_id": 3}], [bob]),
        ([{"api_user_id": 3.5}], []),
        ([{"datetime_created": "2021-02-03_04-05-06"}], [old]),
        ([{"datetime_created": "2021-02-03T04:05:06Z"}], [old]),
        ([{"datetime_created": old.datetime_created}], [old]),
        ([{"datetime_created": "2026-%"}], [ada, bob]),
        ([{"is_admin": 0, "username": "%1", "can_write": 1}], [old]),
        ([{"username": "bob%"}, {"username": "ada"}, {"can_write": 0}], [bob, old, ada, bob]),
        ([{"username": "' OR 1=1 --"}], []),
    ]
    for filters, expected in cases:
        assert users.list_users(session, filters) == expected, filters


@pytest.mark.parametrize("filters", [{"password_hash": "%"}, {"name": "x"}, {"id": [1, 2]}, {"username": "a" * 257}])
def test_filters_that_make_no_sense_are_refused(session, filters):
    with pytest.raises(InvalidInput, match=next(iter(filters)) if len(str(filters)) < 200 else "256"):
        users.list_users(session, [filters])


def test_a_nasty_pattern_costs_no_time():
    assert not like("%a" * 120 + "b")("a" * 20_000)


def test_start_users_are_made_once(session):
    users.ensure_start_users(session, ACCOUNTS, NOW)
    first = users.list_users(session)
    assert names(first) == ["admin", "spi_uid"] and {user.role for user in first} == {"admin"}
    users.ensure_start_users(session, [(name, "another password") for name, _ in ACCOUNTS], NOW + timedelta(days=1))
    assert users.list_users(session) == first
    assert session.scalars(sa.select(User.password_hash).order_by(User.id)).first() == "hash of admin password"


def test_a_start_user_that_cannot_be_made_is_a_configuration_error(session, add):
    add("Admin")
    for name in ("admin", "a:b"):
        with pytest.raises(ConfigError, match=name):
            users.ensure_start_users(session, [(name, "long password")], NOW)


def test_processes_that_start_at_once_make_the_start_users_once(database):
    failures, barrier = [], threading.Barrier(4)

    def start():
        barrier.wait()
        try:
            with database.begin() as session:
                users.ensure_start_users(session, ACCOUNTS, NOW)
        except Exception as error:  # reported below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with database.read() as session:
        assert sorted(names(users.list_users(session))) == ["admin", "spi_uid"]


def test_users_are_deleted_by_filter_and_returned_once(session, add):
    admin, bob, cleo = add("admin", is_admin=True), add("bob"), add("cleo")
    sign_ins.open_page_session(session, "key", bob.id, "Firefox", "192.0.2.1", NOW)
    assert users.delete_users(session, [{"username": "bob"}, {"id": bob.id}], admin.id) == [bob]
    assert users.list_users(session) == [admin, cleo]
    assert session.scalars(sa.select(SignIn.id)).all() == []
    assert users.delete_users(session, [{"username": "nobody"}], admin.id) == []
    assert users.delete_users(session, [], admin.id) == []


def test_nobody_deletes_herself_nor_the_last_admin(session, add):
    ada, eve = add("ada", is_admin=True), add("eve", is_admin=True)
    add("quasi", is_admin=True, can_write=False)
    with pytest.raises(Conflict, match="yourself"):
        users.delete_users(session, None, ada.id)
    with pytest.raises(Conflict, match="last admin"):
        users.delete_users(session, [{"username": "%"}], None)
    users.delete_users(session, [{"username": "eve"}], ada.id)
    with pytest.raises(Conflict, match="last admin"):
        users.delete_users(session, [{"username": "ada"}], eve.id)
    assert names(users.list_users(session)) == ["ada", "quasi"]


def test_an_id_is_not_given_out_again(session, add):
    add("admin", is_admin=True)
    gone = add("bob")
    users.delete_users(session, [{"id": gone.id}], None)
    assert add("cleo").id > gone.id


def test_updating_a_user(session, add):
    admin, bob = add("admin", is_admin=True), add("bob")

    def update(user, **values):
        now = {"role": user.role, "email": user.email, "disabled": user.disabled_at is not None}
        return users.update_user(session, user.id, **now | values, acting_user_id=admin.id, now=NOW)

    assert update(bob, role="admin").role == "admin"
    assert update(bob, role="read_only_user", email="bob@example.org").email == "bob@example.org"
    assert users.get_user(session, bob.id).role == "read_only_user"
    assert update(bob, disabled=True).disabled_at == NOW
    assert update(bob, role="read_write_user").disabled_at is None
    assert update(admin, email="admin@example.org").role == "admin"
    with pytest.raises(InvalidInput, match="role"):
        update(bob, role="king")
    with pytest.raises(InvalidInput, match="e-mail"):
        update(bob, email="x" * 65)
    for values in ({"role": "read_write_user"}, {"disabled": True}):
        with pytest.raises(Conflict, match="yourself"):
            update(admin, **values)


@pytest.mark.parametrize("values", [{"role": "read_write_user"}, {"disabled": True}])
def test_the_last_admin_keeps_her_rights(session, add, values):
    ada, eve = add("ada", is_admin=True), add("eve", is_admin=True)
    plain = {"role": "admin", "email": None, "disabled": False, "now": NOW}
    users.update_user(session, ada.id, **plain | values, acting_user_id=eve.id)
    with pytest.raises(Conflict, match="last admin"):
        users.update_user(session, eve.id, **plain | values, acting_user_id=None)


def test_a_new_password_ends_every_sign_in_but_the_one_it_was_changed_from(session, add):
    ada, bob = add("ada"), add("bob")
    for user in (ada, ada, bob):
        sign_ins.open_page_session(session, "key", user.id, "Firefox", "192.0.2.1", NOW)
    kept = sign_ins.list_sign_ins(session, ada.id, NOW)[0]
    users.set_password(session, ada.id, "new password", NOW, keep_sign_in_id=kept.id)
    assert sign_ins.list_sign_ins(session, ada.id, NOW) == [kept]
    users.set_password(session, ada.id, "newer password", NOW)
    assert sign_ins.list_sign_ins(session, ada.id, NOW) == []
    assert len(sign_ins.list_sign_ins(session, bob.id, NOW)) == 1
    assert session.scalar(sa.select(User.password_hash).where(User.id == ada.id)) == "hash of newer password"
    with pytest.raises(NotFound):
        users.set_password(session, 10_000, "new password", NOW)

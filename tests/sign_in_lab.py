"""What the tests of sign-ins, credentials and throttle share: one server process, its database and one user."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import event

from spi_dash.errors import TooManyRequests
from spi_dash.models import User
from spi_dash.services import credentials, sign_ins, throttle, users
from spi_dash.services.passwords import PasswordCache
from spi_dash.services.sign_ins import Caller

NOW = datetime(2026, 7, 1, 12)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
SECRET, ADDRESS, PHONE = "a secret key for tests", "192.0.2.1", "Android Multipart HTTP Client 1.0"


class Lab:
    """One server process and its database; says only what a test is about."""

    def __init__(self, database):
        self.database, self.cache = database, PasswordCache()
        with database.begin() as session:
            self.ada = users.add_user(session, username="ada", password="R3ad_0nly", now=NOW)

    def authenticate(self, username="ada", password="R3ad_0nly", now=NOW, address=ADDRESS):
        given = (SECRET, username, password, address)
        return credentials.authenticate(self.database.begin, self.database.read, *given, now, self.cache)

    def issue(self, caller=None, now=NOW, client=PHONE, address=ADDRESS, secret=SECRET):
        caller = Caller(self.ada) if caller is None else caller
        return sign_ins.issue_token(self.database.begin, self.database.read, secret, caller, client, address, now)

    def check(self, token, now=NOW, secret=SECRET):
        with self.database.read() as session:
            return sign_ins.check_token(session, secret, token, now)

    def do(self, function, *args, **named):
        with self.database.begin() as session:
            return function(session, *args, **named)

    def list(self, now=NOW):
        return self.do(sign_ins.list_sign_ins, self.ada.id, now)

    def statements(self, function, *args, **named):
        """How many statements, reading and writing, a call sends to the database."""
        seen = []

        def note(_connection, _cursor, statement, *_rest):
            seen.append(statement.split()[0].upper())

        event.listen(self.database.engine, "before_cursor_execute", note)
        try:
            function(*args, **named)
        finally:
            event.remove(self.database.engine, "before_cursor_execute", note)
        return [word for word in seen if word != "BEGIN"]

    def fail(self, *addresses, times=1, username="ada", now=NOW):
        with self.database.begin() as session:
            for address in (addresses or [ADDRESS]) * times:
                throttle.record_failure(session, SECRET, username, address, now)


def count_checks(monkeypatch):
    checked, verify = [], credentials.verify_password

    def note(stored, password):
        checked.append(stored)
        return verify(stored, password)

    monkeypatch.setattr(credentials, "verify_password", note)
    return checked


def set_hash(lab, stored):
    update = sa.update(User).where(User.id == lab.ada.id).values(password_hash=stored)
    lab.do(lambda session: session.execute(update))


def stored_hash(lab):
    return lab.do(lambda session: session.scalar(sa.select(User.password_hash).where(User.id == lab.ada.id)))


def wait_s(lab, username="ada", now=NOW, address=ADDRESS):
    try:
        lab.do(throttle.check_attempt, SECRET, username, address, now)
    except TooManyRequests as error:
        assert str(error.details["retry_after_s"]) in error.message
        return error.details["retry_after_s"]
    return 0

"""spi-dash users"""

import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .settings import config_options, load_config, open_database

if TYPE_CHECKING:
    from ..db import Database
    from ..services.users import UserInfo

ROLES = {"read-only": (False, False), "read-write": (False, True), "admin": (True, True)}  # is_admin, can_write
GOOD_CHARS = 11


@click.group()
def users() -> None:
    """Add, list and delete accounts.

    Works on the database directly, so it needs no sign-in: whoever may read the server's data may do this. A running
    server sees the changes at once.
    """


def password_options(command: Callable) -> Callable:
    """--password-stdin and --generate; without them, the password is asked for."""
    stdin = click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")
    generate = click.option("--generate", is_flag=True, help="Make up a password and print it.")
    return stdin(generate(command))


@users.command()
@click.argument("name")
@click.option("--role", type=click.Choice(list(ROLES)), default="read-write", show_default=True)
@click.option("--email", help="Address of the person.")
@password_options
@config_options
def add(
    name: str,
    role: str,
    email: str | None,
    password_stdin: bool,
    generate: bool,
    data: Path | None,
    env_files: tuple[Path, ...],
) -> None:
    """Add an account for a person, or for a group of devices."""
    database = open_database(load_config(data, env_files, existing=True))
    from ..clock import utcnow
    from ..services import audit
    from ..services.users import add_user

    password = _read_password(password_stdin, generate)
    is_admin, can_write = ROLES[role]
    with database.begin() as session:
        added = add_user(
            session,
            username=name,
            password=password,
            email=email,
            is_admin=is_admin,
            can_write=can_write,
            now=utcnow(),
        )
        audit.record_users(session, None, "user added", [added], utcnow())
    click.echo(f"Added {name} ({role}).")
    _show(password, generate)


@users.command("list")
@config_options
def list_accounts(data: Path | None, env_files: tuple[Path, ...]) -> None:
    """List the accounts."""
    database = open_database(load_config(data, env_files, existing=True))
    from ..services.users import list_users

    with database.read() as session:
        found = list_users(session)
    width = max([len("name"), *(len(user.username) for user in found)])
    click.echo(f"{'name':{width}}  {'role':10}  created     e-mail")
    for user in found:
        role = {"read_only_user": "read-only", "read_write_user": "read-write"}.get(user.role, user.role)
        note = "" if user.disabled_at is None else "  (may not sign in)"
        click.echo(f"{user.username:{width}}  {role:10}  {user.datetime_created:%Y-%m-%d}  {user.email or '-'}{note}")


@users.command("reset-password")
@click.argument("name")
@password_options
@config_options
def reset_password(
    name: str, password_stdin: bool, generate: bool, data: Path | None, env_files: tuple[Path, ...]
) -> None:
    """Set another password, and end all sign-ins of the account."""
    database = open_database(load_config(data, env_files, existing=True))
    from ..clock import utcnow
    from ..services import audit
    from ..services.users import set_password

    user = _get_user(database, name)
    password = _read_password(password_stdin, generate)
    with database.begin() as session:
        set_password(session, user.id, password, utcnow())
        audit.record(session, None, "password reset", name, utcnow())
    click.echo(f"{name} has a new password.")
    _show(password, generate)


@users.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_options
def delete(name: str, yes: bool, data: Path | None, env_files: tuple[Path, ...]) -> None:
    """Delete an account; what it uploaded stays."""
    database = open_database(load_config(data, env_files, existing=True))
    from ..clock import utcnow
    from ..services import audit
    from ..services.users import delete_users

    user = _get_user(database, name)
    if not yes:
        click.confirm(f"Delete the account {name}?", abort=True)
    with database.begin() as session:
        deleted = delete_users(session, [{"id": user.id}], acting_user_id=None)
        audit.record_users(session, None, "user deleted", deleted, utcnow())
    click.echo(f"Deleted {name}.")


def _get_user(database: "Database", name: str) -> "UserInfo":
    from ..errors import NotFound
    from ..services.users import find_user_by_name

    with database.read() as session:
        user = find_user_by_name(session, name)
    if user is None:
        raise NotFound(f"there is no user named {name!r}")
    return user


def _read_password(from_stdin: bool, generate: bool) -> str:
    if from_stdin and generate:
        raise click.UsageError("--password-stdin and --generate exclude each other")
    if generate:
        return secrets.token_urlsafe(12)
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if len(password) < GOOD_CHARS:
        click.echo(f"Note: {GOOD_CHARS} characters or more would be safer.", err=True)
    return password


def _show(password: str, generated: bool) -> None:
    if generated:
        click.echo(f"Password: {password}")

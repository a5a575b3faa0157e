"""spi-dash backup and restore"""

from pathlib import Path

import click

from .settings import config_options, load_config


@click.command(short_help="Copy the database, and the files, to a folder or bucket.")
@click.option("--to", "where", required=True, metavar="TARGET", help="A folder, or s3://bucket/prefix.")
@click.option("--files", is_flag=True, help="The stored files, too; those that have not changed are not copied again.")
@click.option("--keep", type=click.IntRange(1), metavar="N", help="Then delete all but the newest N of the same sort.")
@click.option("--check", "only_check", is_flag=True, help="Make none: read the newest backup and compare checksums.")
@config_options
def backup(
    where: str, files: bool, keep: int | None, only_check: bool, data: Path | None, env_files: tuple[Path, ...]
) -> None:
    """Make a backup; the server may be running.

    The database is copied as it is at one moment, the files after it. Every part has a checksum. The exit code is 0
    only when the whole backup is there; what a failed one leaves is no backup and is removed by the next.
    """
    config = load_config(data, env_files, existing=True)
    from ..backup import BackupOptions, check_backup, find_backup, make_backup, open_target
    from ..clock import utcnow
    from ..db import connect
    from ..errors import ConfigError
    from ..storage import make_storage

    if only_check:
        target, name = find_backup(where, config)
        found = check_backup(target, name)
        click.echo(f"The backup {name} is whole: {_counts(found)}.")
        return
    if config.database_url.startswith("sqlite") and not (config.data_dir / "spi.db").exists():
        raise ConfigError(f"there is no database in {config.data_dir}: give --data")
    storage = make_storage(config) if files else None
    options = BackupOptions(utcnow=utcnow, files=storage, secrets=config.data_dir / "secrets.env", keep=keep)
    database = connect(config.database_url)
    try:
        made = make_backup(database, open_target(where, config), options)
    finally:
        database.engine.dispose()
    removed = f" Deleted: {', '.join(made.removed)}." if made.removed else ""
    click.echo(f"Made the backup {made.name}: {_counts(made.manifest)}.{removed}")


@click.command(short_help="Bring a backup back.")
@click.argument("source", metavar="FROM")
@click.option("--replace", is_flag=True, help="Where there is a database already: put this one in its place.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_options
def restore(source: str, replace: bool, yes: bool, data: Path | None, env_files: tuple[Path, ...]) -> None:
    """Bring a backup back to a server that is stopped and empty.

    FROM is a folder or s3://bucket/prefix with backups, of which the newest is taken, or one backup in it. All
    checksums are compared before anything is changed. With --replace, a SQLite database is put aside, the tables of a
    MariaDB database are dropped, and files of the same name are overwritten; other files stay.
    """
    config = load_config(data, env_files)
    from ..backup import RestoreOptions, find_backup, restore_backup
    from ..clock import utcnow
    from ..storage import make_storage

    target, name = find_backup(source, config)
    if replace and not yes:
        typed = click.prompt(f"This replaces the database by the backup {name}. Type 'replace' to go on", err=True)
        if typed != "replace":
            raise click.Abort
    options = RestoreOptions(now=utcnow(), replace=replace)
    restored = restore_backup(config, make_storage(config), target, name, options)
    click.echo(f"Restored the backup {name}: {_counts(restored)}.")


def _counts(manifest: object) -> str:
    rows, files = manifest.rows, manifest.files  # type: ignore[attr-defined]
    return f"{rows} rows" + (f", {files.rows} files" if files is not None else ", no files")

"""Which of the known generations of a Sticky Pi database this is; anything else is refused before it is touched."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from ..errors import ConfigError
from .found import Table

Generation = Literal["G1", "G2", "G3", "G4"]
WHEN: dict[Generation, str] = {"G1": "February 2021", "G2": "May 2021", "G3": "May 2022", "G4": "July 2022 or later"}

# Columns of every generation, beside those that all tables have; `?`: rows of ours may leave it empty.
TABLES: dict[str, str] = {
    "users": "username email? password_hash is_admin? can_write?",
    "images": "device datetime md5 device_version? width height lat? lng? alt? temp? hum? lum? bat? but?",
    "uid_annotations": "parent_image_id algo_name algo_version n_objects json",
    "uid_intents": "parent_image_id",
    "tuboid_series": "device start_datetime end_datetime n_images n_tuboids algo_name algo_version",
    "tiled_tuboids": "parent_series_id tuboid_id id_in_series start_datetime end_datetime n_shots",
    "itc_labels": "parent_tuboid_id algo_name algo_version label pattern type order? family? genus? species?",
    "projects": "name description? notes?",
    "project_permissions": "parent_project_id parent_user_id level",
}
AUDIT = "id datetime_created api_version? api_user_id?"
ALWAYS_THERE = ("users", "images", "uid_annotations")  # the others are created where they are missing
ADDED = {  # what old tables lack, with its type
    **{(table, "api_user_id"): "INTEGER" for table in TABLES},
    ("images", "lum"): "FLOAT",
    ("images", "bat"): "SMALLINT",
    ("images", "but"): "BOOL",
    ("users", "disabled_at"): "DATETIME",
    ("users", "preferences"): "TEXT",
}
KNOWN_EXTRA = re.compile(r"no_flash_\w+|api_user|cached_repr|cached_expire_datetime")
UNIQUE = {
    "users": ("username",),
    "images": ("device", "datetime"),
    "uid_annotations": ("parent_image_id", "algo_name", "algo_version"),
    "tuboid_series": ("device", "start_datetime", "end_datetime", "algo_name", "algo_version"),
    "tiled_tuboids": ("tuboid_id",),
    "itc_labels": ("parent_tuboid_id", "algo_name", "algo_version"),
    "project_permissions": ("parent_user_id", "parent_project_id"),
}
FOREIGN = {
    ("uid_annotations", "parent_image_id"): "images",
    ("uid_intents", "parent_image_id"): "images",
    ("tiled_tuboids", "parent_series_id"): "tuboid_series",
    ("itc_labels", "parent_tuboid_id"): "tiled_tuboids",
    ("project_permissions", "parent_project_id"): "projects",
    ("project_permissions", "parent_user_id"): "users",
}
KINDS = {
    "number": r"(tiny|small|medium|big)?int|integer|bool|float|double|real|decimal|numeric",
    "time": r"datetime|timestamp",
    "text": r"(var)?char|(tiny|medium|long)?text|clob",
}
NUMBERS = re.compile(
    r"id|.*_id|width|height|lat|lng|alt|temp|hum|lum|bat|but|n_\w+|label|level|is_admin|can_write|id_in_\w+"
)


def recognise(tables: Mapping[str, Table]) -> Generation:
    """The generation, by columns that adoption keeps: a half adopted database is still what it was.

    Raises:
        ConfigError: this is no Sticky Pi database, or one that somebody changed; names what differs.
    """
    differences = list(_differences(tables))
    if differences:
        more = f" (and {len(differences) - 5} more differences)" if len(differences) > 5 else ""
        raise ConfigError(
            "this database cannot be adopted, as it is not what a Sticky Pi server makes; nothing was changed: "
            + "; ".join(differences[:5])
            + more
        )
    images = tables["images"].columns
    if "no_flash_shutter_speed" in images or "no_flash_bv" in images:
        return "G1"
    if any(name.startswith("no_flash_") for name in images):
        return "G2"
    return "G3" if "api_user" in images else "G4"


def wire_columns(table: str) -> dict[str, bool]:
    """The columns of a table of the wire contract, and whether rows of ours may leave them empty."""
    names = f"{AUDIT} {TABLES[table]}".split()
    return {name.rstrip("?"): name.endswith("?") for name in names}


def _differences(tables: Mapping[str, Table]) -> Iterator[str]:
    missing = [name for name in ALWAYS_THERE if name not in tables]
    if missing:
        yield f"it has no table {' and no '.join(missing)}"
    for name in TABLES:
        if name in tables:
            yield from _table_differences(tables[name])
    yield from _collation_differences(tables)


def _table_differences(table: Table) -> Iterator[str]:
    if table.engine not in ("", "InnoDB"):
        yield f"table {table.name} is kept by {table.engine}: run ALTER TABLE `{table.name}` ENGINE=InnoDB"
    wanted = wire_columns(table.name)
    for name in wanted:
        column = table.columns.get(name)
        if column is None and (table.name, name) not in ADDED:
            yield f"{table.name} has no column {name}"
        elif column is not None and re.match(f"({KINDS[kind_of(name)]})\\b", column.type, re.IGNORECASE) is None:
            yield f"{table.name}.{name} is {column.type}, not a {kind_of(name)}"
    identity = table.columns.get("id")
    if identity is not None and re.fullmatch(r"int(eger)?(\(\d+\))?", identity.type, re.IGNORECASE) is None:
        yield f"{table.name}.id is {identity.type}, not INT"
    for column in table.columns.values():
        known = column.name in wanted or (table.name, column.name) in ADDED or KNOWN_EXTRA.fullmatch(column.name)
        if not known and not column.nullable and column.default is None:
            yield f"{table.name} has a column {column.name} that must not be empty, which no version of the server made"
    unique = UNIQUE.get(table.name)
    if unique is not None and not table.has_unique(unique):
        yield f"{table.name} has no unique key on {', '.join(unique)}"
    for (name, column), other in FOREIGN.items():
        there = any((key.column, key.table, key.on_delete) == (column, other, "CASCADE") for key in table.foreign)
        if name == table.name and not there:
            key = f"FOREIGN KEY (`{column}`) REFERENCES `{other}` (id) ON DELETE CASCADE"
            yield f"{name}.{column} has no such foreign key: run ALTER TABLE `{name}` ADD {key}"


def _collation_differences(tables: Mapping[str, Table]) -> Iterator[str]:
    """Texts of two tables are compared: MariaDB refuses that between two collations."""
    if "images" not in tables:
        return
    wanted = tables["images"].collation
    for name in TABLES:
        if name in tables and tables[name].collation != wanted:
            yield (
                f"table {name} has another collation than images: run ALTER TABLE `{name}` CONVERT TO CHARACTER SET "
                f"{wanted.split('_')[0]} COLLATE {wanted}"
            )


def kind_of(column: str) -> str:
    """What a column of the wire contract holds: a number, a time or a text."""
    if column == "datetime" or "datetime_" in column or column.endswith("_datetime"):
        return "time"
    if column == "tuboid_id":
        return "text"
    return "number" if NUMBERS.fullmatch(column) else "text"

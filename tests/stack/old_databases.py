"""Databases as the four generations of the existing server left them, filled; from the wire contract, section 7."""

import csv
from pathlib import Path

import sqlalchemy as sa

GENERATIONS = ("G1", "G2", "G3", "G4")
PASSWORD = "maria long password"

NO_FLASH = {
    "G1": ("no_flash_shutter_speed", "no_flash_exposure_time", "no_flash_bv", "no_flash_iso"),
    "G2": ("no_flash_exposure_time", "no_flash_analog_gain", "no_flash_digital_gain"),
}
JSON = (
    '{"annotations": [{"contour": [[[2194,1597]], [[2189,1602]], [[2189,1617]]], "name": "insect", "value": 0}], '
    '"metadata": {"algo_name": "uid", "algo_version": "1-a", "device": "0a1b2c3d", "datetime": "2020-06-20_21-33-24"}}'
)


def definitions(generation: str, mariadb: bool, compressed: bool = False) -> list[str]:
    """CREATE TABLE statements."""
    new = generation == "G4"
    number = "INT NOT NULL AUTO_INCREMENT PRIMARY KEY" if mariadb else "INTEGER NOT NULL PRIMARY KEY"
    audit = f"id {number}, datetime_created DATETIME NOT NULL, api_version VARCHAR(8), "
    audit += "api_user_id INT" if new else "api_user VARCHAR(32)"
    long = "LONGTEXT COMPRESSED" if mariadb and compressed else "LONGTEXT NOT NULL" if mariadb else "TEXT NOT NULL"
    end = ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4" if mariadb else ")"

    def unique(name: str, columns: str) -> str:
        return f"UNIQUE KEY {name} ({columns})" if mariadb else f"CONSTRAINT {name} UNIQUE ({columns})"

    def parent(column: str, table: str) -> str:
        return f"FOREIGN KEY ({column}) REFERENCES {table} (id) ON DELETE CASCADE"

    order = "`order` VARCHAR(32)"
    images = (
        "device VARCHAR(8) NOT NULL, datetime DATETIME NOT NULL, md5 VARCHAR(32) NOT NULL, device_version VARCHAR(8), "
    )
    images += "width SMALLINT NOT NULL, height SMALLINT NOT NULL, lat DECIMAL(9,6), lng DECIMAL(9,6), alt SMALLINT, "
    images += "temp FLOAT, hum FLOAT, " + "".join(f"{name} FLOAT NOT NULL, " for name in NO_FLASH.get(generation, ()))
    images += "cached_repr TEXT NOT NULL, cached_expire_datetime DATETIME NOT NULL, " if generation == "G1" else ""
    images += "lum FLOAT, bat SMALLINT, but BOOL, " if generation in ("G3", "G4") else ""
    algo = "algo_name VARCHAR(64) NOT NULL, algo_version VARCHAR(46) NOT NULL"
    span = "start_datetime DATETIME NOT NULL, end_datetime DATETIME NOT NULL"
    tables = {
        "users": "username VARCHAR(32) NOT NULL, email VARCHAR(64), password_hash VARCHAR(128) NOT NULL, "
        "is_admin BOOL, can_write BOOL, " + unique("username", "username") + ("" if new else ", UNIQUE (email)"),
        "images": images + unique("image_id", "device, datetime"),
        "uid_annotations": f"parent_image_id INT NOT NULL, {algo}, n_objects INT NOT NULL, json {long}, "
        f"{unique('annotation_id', 'parent_image_id, algo_name, algo_version')}, {parent('parent_image_id', 'images')}",
        "tuboid_series": f"device VARCHAR(8) NOT NULL, {span}, n_images INT NOT NULL, n_tuboids INT NOT NULL, {algo}, "
        + unique("tiled_series_id", "device, start_datetime, end_datetime, algo_name, algo_version"),
        "tiled_tuboids": "parent_series_id INT NOT NULL, tuboid_id VARCHAR(100) NOT NULL, id_in_series INT NOT NULL, "
        f"{span}, n_shots INT NOT NULL, {unique('tuboid_id', 'tuboid_id')}, "
        f"{parent('parent_series_id', 'tuboid_series')}",
        "itc_labels": "parent_tuboid_id INT NOT NULL, algo_name VARCHAR(32) NOT NULL, "
        "algo_version VARCHAR(46) NOT NULL, "
        f"label INT NOT NULL, pattern VARCHAR(128) NOT NULL, type VARCHAR(32) NOT NULL, {order}, family VARCHAR(32), "
        f"genus VARCHAR(32), species VARCHAR(32), {unique('label_id', 'parent_tuboid_id, algo_name, algo_version')}, "
        + parent("parent_tuboid_id", "tiled_tuboids"),
    }
    if new:
        tables["uid_intents"] = f"parent_image_id INT NOT NULL, {parent('parent_image_id', 'images')}"
        tables["projects"] = "name VARCHAR(32) NOT NULL, description VARCHAR(20), notes VARCHAR(2048)"
        tables["project_permissions"] = (
            "parent_project_id INT NOT NULL, parent_user_id INT NOT NULL, level SMALLINT NOT NULL, "
            "UNIQUE (parent_user_id, parent_project_id), "
            f"{parent('parent_project_id', 'projects')}, {parent('parent_user_id', 'users')}"
        )
    made = [f"CREATE TABLE {name} ({audit}, {columns}{end}" for name, columns in tables.items()]
    if mariadb:
        made += [
            "CREATE INDEX ix_users_username ON users (username)",
            "CREATE INDEX image_uid ON images (device, datetime)",
        ]
    if new:
        series = f"id {number}, device CHAR(8), {span}, Latitude DECIMAL(11, 8), "
        series += "note CHAR(64), UNIQUE (device, start_datetime)"
        made.append(f"CREATE TABLE project_series_1 ({series}{end}")
    return made


def fill(connection: sa.Connection, generation: str, password_hash: str, micro: str = "") -> None:
    """Rows of every table. `micro`: what SQLAlchemy appends to times on SQLite."""
    new = generation == "G4"
    who, audit = ("api_user_id", 2) if new else ("api_user", "maria")

    def insert(table: str, **values: object) -> None:
        row = {"datetime_created": f"2021-02-03 04:05:06{micro}", "api_version": "0.1.0", who: audit} | values
        names = ", ".join(f"`{name}`" for name in row)
        bound = ", ".join(f":{name}" for name in row)
        connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({bound})"), row)

    for name, admin in (("admin", 1), ("maria", 0)):
        insert("users", username=name, email=f"{name}@example.org", password_hash=password_hash, is_admin=admin,
               can_write=1)  # fmt: skip
    for n in range(6):
        more: dict[str, object] = {name: 0.5 + n for name in NO_FLASH.get(generation, ())}
        if generation == "G1":
            more |= {"cached_repr": "", "cached_expire_datetime": "2021-02-03 04:05:06"}
        if generation in ("G3", "G4"):
            more |= {"lum": 0.0 if n == 5 else 1.5, "bat": -1 if n == 5 else 70, "but": 1}
        values = {"lat": -121.7552, "lng": 49.243553, "alt": 22, "temp": 21.5, "hum": 60.0}
        if n == 5:
            values |= {"temp": -300.0, "hum": -1.0}
        if n == 4:
            more |= {who: None}
        moment = f"2020-06-20 2{n // 3}:{n % 3 * 20:02}:24{micro}"
        insert("images", device="0a1b2c3d", datetime=moment, md5=f"{n:032x}", device_version="1.0.0", width=2592,
               height=1944, **values, **more)  # fmt: skip
        insert("uid_annotations", parent_image_id=n + 1, algo_name="uid", algo_version="1-a", n_objects=1, json=JSON)
    span = {"start_datetime": f"2020-06-20 20:00:24{micro}", "end_datetime": f"2020-06-20 21:40:24{micro}"}
    insert("tuboid_series", device="0a1b2c3d", n_images=6, n_tuboids=1, algo_name="sim", algo_version="1-b", **span)
    insert("tiled_tuboids", parent_series_id=1, tuboid_id="a.b.c.d.0000", id_in_series=0, n_shots=3, **span)
    insert("itc_labels", parent_tuboid_id=1, algo_name="itc", algo_version="1-c", label=3, pattern="a", type="Insecta",
           order="Diptera")  # fmt: skip
    if new:
        for image in (1, 1, 2):
            insert("uid_intents", parent_image_id=image)
        insert("projects", name="Orchard", description="apples")
        insert("project_permissions", parent_project_id=1, parent_user_id=2, level=3)
        connection.execute(
            sa.text("INSERT INTO project_series_1 VALUES (1, '0a1b2c3d', '2020-06-01', '2020-07-01', 49.1, 'x')")
        )


def load_season(url: str, table: Path) -> None:
    """An empty SQLite database of May 2021 with the rows of a CSV, real ones of 2020."""
    with table.open() as file:
        rows = [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]
    names = [name for name in rows[0] if name not in ("", "id", "url")]
    values = [{n: row[n] or (0 if n.startswith("no_flash") else None) for n in names} for row in rows]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in definitions("G2", False):
            connection.exec_driver_sql(statement)
        bound = ", ".join(f":{name}" for name in names)
        connection.execute(sa.text(f"INSERT INTO images ({', '.join(names)}) VALUES ({bound})"), values)
    engine.dispose()

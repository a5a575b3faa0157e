"""The Python client does the same on a directory, on a server with files on disk, and on MariaDB with S3."""

import hashlib
import inspect
import json
import os
import uuid
from datetime import timedelta
from typing import Any

import pytest
from live import START, live_server, pictures, write_all
from stack.servers import database_variables, s3_variables
from tuboid_lab import DEVICE as TUBOID_DEVICE
from tuboid_lab import name_tuboid, new_label, write_series

from spi_dash.client import SpiClient
from spi_dash.errors import Conflict, InvalidInput, NotFound, SpiError
from spi_dash.local import LocalSpi

pytestmark = pytest.mark.stack
DEVICE, OTHER = "5c173ff2", "5c173ff3"
SENT = {**pictures(5), **pictures(2, OTHER)}
UID = {"algo_name": "universal-insect-detector", "algo_version": "1.10"}
CLOCKS = ("datetime_created", "annotated_at", "labelled_at", "mtime")


class Story:
    """What one client answered, in order, without what differs by nature: links, and when it was."""

    def __init__(self, client: SpiClient, folder) -> None:
        self.client, self.folder, self.told = client, folder, []

    def tell(self, answer: Any) -> Any:
        rows = json.loads(answer.to_json(orient="records", date_format="iso")) if hasattr(answer, "columns") else answer
        self.told.append(json.loads(json.dumps(rows, default=str), object_hook=comparable))
        return answer

    def refuse(self, kind: type[SpiError], call, *arguments, **options) -> None:
        with pytest.raises(kind) as error:
            call(*arguments, **options)
        self.told.append([kind.__name__, str(error.value)])

    def files(self, folder) -> dict[str, str]:
        found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.told.append({name: hashlib.md5(data).hexdigest() for name, data in sorted(found.items())})
        return found


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Links by their path's end, times of the server's clock by being there."""
    links = {name for name, value in row.items() if str(value).startswith("http")}
    return {name: str(value).partition("?")[0].rpartition("/")[2] if name in links else
            value is not None if name in CLOCKS else value for name, value in row.items()}  # fmt: skip


def images_go_up_and_come_down(story: Story) -> None:
    client, folder = story.client, story.folder
    assert len(story.tell(client.put_images(SENT))) == len(SENT)
    assert story.tell(client.put_images(SENT)) == []
    name, data = next(iter(SENT.items()))
    assert client.upload_image(name, data)["id"] is not None  # it was there
    story.refuse(Conflict, client.upload_image, name, next(iter(pictures(1, OTHER).values())))
    story.refuse(InvalidInput, client.upload_image, "no name.jpg", data)
    assert len(story.tell(client.get_image_series(DEVICE, START, START + timedelta(hours=1)))) == 3
    for what in ("image", "thumbnail", "thumbnail-mini"):
        assert client.get_image_series(what=what) == client.get_image_series(what=what)
        assert client.download_images(folder / what, what=what, jobs=6, progress=False).complete
    assert {path.rpartition("/")[2]: data for path, data in story.files(folder / "image").items()} == SENT
    assert client.download_images(folder / "image", progress=False).there == len(SENT)
    write_all(folder / "card", pictures(2, "0000000a"))
    assert client.upload_folder(folder / "card", jobs=1, progress=False).uploaded == 2
    frame = story.tell(client.images_frame())
    assert len(frame) == 9 and len(client.images_frame("nobody")) == 0
    assert len(story.tell(client.delete_images(frame[frame["device"] == "0000000a"]))) == 2


def annotations_are_joined_with_images(story: Story) -> None:
    client = story.client
    rows = story.tell(client.get_images_to_annotate(**UID, worker="w1"))
    assert len(rows) == len(SENT) and story.tell(client.get_images_to_annotate(**UID)) == []
    assert len(story.tell(client.release_uid_claims(rows[:1], "w1"))) == 1
    keys = [{name: row[name] for name in ("device", "datetime", "md5")} for row in rows]
    square = {"contour": [[[10, 20]], [[30, 20]], [[30, 60]], [[10, 60]]], "name": "insect"}
    elements = [{"annotations": [square] * n, "metadata": {**UID, **key}} for n, key in enumerate(keys[:3])]
    assert [row["n_objects"] for row in story.tell(client.put_uid_annotations(elements))] == [0, 1, 2]
    story.refuse(Conflict, client.put_uid_annotations, elements)
    stored = story.tell(client.get_uid_annotations(keys))
    assert sorted(len(json.loads(row["json"])["annotations"]) for row in stored) == [0, 1, 2]
    story.tell(client.get_uid_annotations_series(what="metadata"))
    for frame in (client.counts_frame(), client.annotations_frame(), client.insects_frame(outlines=True)):
        story.tell(frame)
    assert client.insects_frame()["area"].tolist() == [800.0] * 3


def tuboids_are_joined_with_labels(story: Story) -> None:
    client, folder = story.client, story.folder
    series = write_series(folder / "tuboids")
    assert len(story.tell(client.put_tiled_tuboids(series, "siamese-insect-matcher", jobs=1, progress=False))) == 3
    client.put_itc_labels([new_label(name_tuboid(0)), new_label(name_tuboid(2), species="domestica")])
    story.refuse(Conflict, client.put_itc_labels, [new_label(name_tuboid(0))])
    assert len(story.tell(client.get_itc_labels([name_tuboid(0), name_tuboid(1)]))) == 1
    assert len(story.tell(client.get_tiled_tuboid_series(what="data"))) == 3
    assert story.tell(client.tuboids_frame())["species"].isna().tolist() == [True, True, False]
    assert client.download_tuboids(folder / "taken", jobs=4, progress=False).downloaded == 9
    assert story.files(folder / "taken") == story.files(series.parent)
    assert len(story.tell(client.delete_tiled_tuboids(TUBOID_DEVICE, "2022-01-01", "2023-01-01"))) == 1
    assert story.tell(client.get_itc_labels([name_tuboid(0)])) == []


def projects_choose_images(story: Story) -> None:
    client = story.client
    client.put_users([{"username": "anna", "password": "a long password"}])
    anna = client.get_users([{"username": "anna"}])[0]["id"]
    (project,) = story.tell(client.put_projects([{"name": "orchard", "description": "Äpfel", "notes": "a\nb"}]))
    number = project["id"]
    story.tell(client.put_project_permission(number, anna, 1))
    story.tell(client.put_project_permission(number, anna, 2))
    client.add_project_column(number, "bait", "CHAR(64)")
    client.add_project_column(number, "height", "DOUBLE")
    day = {"device": DEVICE, "start_datetime": START, "end_datetime": START + timedelta(hours=1)}
    (row,) = story.tell(client.put_project_series(number, [{**day, "bait": "vinegar", "height": 2}]))
    story.refuse(Conflict, client.put_project_series, number, [day])
    story.tell(client.put_project_series(number, [{"id": row["id"], "height": 1.5}]))
    client.rename_project_column(number, "bait", "lure")
    frame = story.tell(client.project_series_frame(number))
    assert (frame["lure"][0], frame["height"][0]) == ("vinegar", 1.5)
    assert len(client.images_frame(series=frame)) == 3
    story.refuse(NotFound, client.get_project_series, number + 1)
    story.refuse(InvalidInput, client.add_project_column, number, "x", "INT; DROP TABLE users")
    client.delete_project_columns(number, ["lure"])
    for frame in (client.projects_frame(), client.users_frame()):
        story.tell(frame)
    story.tell(client.get_project_permissions())
    story.tell(client.delete_project_series(number, [row["id"]]))
    assert len(story.tell(client.delete_projects([{}]))) == 1
    assert len(client.delete_users([{"username": "anna"}])) == 1


def bundles_go_up_and_come_down(story: Story) -> None:
    client, up, down = story.client, story.folder / "up", story.folder / "down"
    files = {"data/a.svg": b"<svg/>", "config/config.yaml": b"a: 1", "output/model_final.pth": b"weights" * 2_400_000}
    for name, data in files.items():
        write_all((up / name).parent, {(up / name).name: data})
    assert len(client.upload_bundle("matcher", up)) == 3 and client.upload_bundle("matcher", up) == []
    story.tell(client.get_ml_bundle_file_list("matcher"))
    assert len(client.download_bundle("matcher", down, "model")) == 2
    assert [path.name for path in client.download_bundle("matcher", down)] == ["a.svg"]
    assert story.files(down) == files and client.download_bundle("matcher", down) == []
    (up / "output" / "model_final.pth").write_bytes(b"WEIGHTS" * 2_400_000)  # of the same size
    os.utime(up / "output" / "model_final.pth", (4e9, 4e9))
    assert len(client.upload_bundle("matcher", up)) == 1
    os.utime(down / "output" / "model_final.pth", (1e9, 1e9))
    assert len(client.download_bundle("matcher", down)) == 1 and len(story.files(down)) == 3


CHAPTERS = (
    images_go_up_and_come_down,
    annotations_are_joined_with_images,
    tuboids_are_joined_with_labels,
    projects_choose_images,
    bundles_go_up_and_come_down,
)


def tell(client: SpiClient, folder) -> list[Any]:
    story = Story(client, folder)
    for chapter in CHAPTERS:
        chapter(story)
    return story.told


def assert_same(told: list[Any], told_locally: list[Any]) -> None:
    for here, there in zip(told, told_locally, strict=True):
        assert here == there


@pytest.fixture(scope="module")
def told_locally(tmp_path_factory) -> list[Any]:
    with LocalSpi(tmp_path_factory.mktemp("lab")) as client:
        return tell(client, tmp_path_factory.mktemp("files"))


def test_a_server_with_files_on_disk_answers_as_a_directory_does(told_locally, tmp_path):
    with live_server(tmp_path / "data") as server, server.client() as client:
        assert_same(tell(client, tmp_path), told_locally)
    assert len(told_locally) > 40


def test_mariadb_and_s3_answer_as_a_directory_does(told_locally, tmp_path, own_mariadb, rgw):
    s3, bucket = rgw.client(), f"client-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    variables = {**database_variables(own_mariadb.url), **s3_variables(rgw, bucket)}
    with live_server(tmp_path / "data", **variables) as server, server.client() as client:
        assert_same(tell(client, tmp_path), told_locally)
    assert {found["Key"].partition("/")[0] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]} == {
        "raw_images",
        "ml",
    }
    s3.close()


def test_a_directory_has_the_methods_of_a_server():
    """Scripts that are tried on a directory run with a server, and the other way round."""
    methods = {name: each for name, each in inspect.getmembers(SpiClient, callable) if not name.startswith("_")}
    local = {name: each for name, each in inspect.getmembers(LocalSpi, callable) if not name.startswith("_")}
    assert {name: inspect.signature(each) for name, each in methods.items()} == {
        name: inspect.signature(each) for name, each in local.items()
    }
    assert {name for name in methods if methods[name] is not local[name]} == {"close"}

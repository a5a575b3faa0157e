"""`spi-dash detector`: what people type, and the sentence they get when it cannot be done."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="the detector needs PyTorch: pip install -e '.[detector]'")

from detector_cards import draw_card, write_cards
from PIL import Image

from spi_dash.detector.annotation import model_of
from spi_dash.detector.bundle import Bundle, load_bundle, save_model
from spi_dash.detector.commands import detector
from spi_dash.detector.model import InsectNet, ModelArgs
from spi_dash.detector.predict import DetectArgs
from spi_dash.errors import InvalidInput, NotFound


@pytest.fixture
def invoke():
    def invoke(*words):
        return CliRunner().invoke(detector, [str(word) for word in words], catch_exceptions=False)

    return invoke


@pytest.fixture
def bundle(tmp_path):
    save_model(Bundle(tmp_path / "bundle"), InsectNet(ModelArgs((8, 8, 8, 8), (1, 1, 1, 1))), DetectArgs(), {})
    return tmp_path / "bundle"


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(draw_card([(60, 60, 20, 10)])).save(tmp_path / "card.jpg")
    return tmp_path / "card.jpg"


@pytest.mark.parametrize("words", [[], ["train"], ["evaluate"], ["detect"]])
def test_help_reads(invoke, words):
    result = invoke(*words, "--help")
    assert result.exit_code == 0 and "Usage" in result.output


def test_train_and_resume(invoke, tmp_path):
    labels = write_cards(tmp_path / "cards")
    words = ("train", tmp_path / "bundle", "--labels", labels, "--steps", 1, "--threads", 1)
    first = invoke(*words)
    assert first.exit_code == 0 and "step 1 " in first.output and "validating on bbbbbbbb" in first.output
    with pytest.raises(InvalidInput, match="--resume"):
        invoke(*words)
    assert "step 2 " in invoke(*words, "--resume").output


def test_nothing_to_resume_from(invoke, tmp_path):
    with pytest.raises(NotFound, match="nothing to resume from"):
        invoke("train", tmp_path, "--resume")


def test_evaluate_prints_one_json_object(invoke, bundle, tmp_path):
    result = invoke("evaluate", bundle, "--labels", write_cards(tmp_path / "cards"), "--json")
    figures = json.loads(result.stdout)
    assert figures["images"] == 3 and figures["insects"] == 6
    for key in ("iou_0.33", "iou_0.5", "iou_0.33_over_1000px", "iou_0.5_over_1000px"):
        assert set(figures[key]) == {"precision", "recall", "f1"}
    assert figures["seconds_per_image"] > 0 and "count_error_per_image" in figures


def test_evaluate_prints_a_table_for_people(invoke, bundle, tmp_path):
    result = invoke("evaluate", bundle, "--labels", write_cards(tmp_path / "cards"), "--hold-out", "bbbbbbbb")
    assert "1 pictures, 1 insects drawn" in result.output and "iou 0.33 over 1000px" in result.output


def test_evaluate_on_no_cards(invoke, bundle, tmp_path):
    with pytest.raises(NotFound, match="begins with cccc"):
        invoke("evaluate", bundle, "--labels", write_cards(tmp_path / "cards"), "--hold-out", "cccc")


def test_detect_prints_a_line_per_file(invoke, bundle, picture, tmp_path):
    other = tmp_path / "grey.png"
    Image.fromarray(np.full((50, 70), 128, np.uint8)).save(other)
    result = invoke("detect", picture, other, "--bundle", bundle, "--json", "--overlay", tmp_path / "drawn")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["file"], first["width"], first["height"]) == (str(picture), 384, 288)
    assert (second["width"], second["height"]) == (70, 50) and isinstance(second["annotations"], list)
    assert {file.name for file in (tmp_path / "drawn").iterdir()} == {"card.jpg", "grey.jpg"}
    assert "insects" in invoke("detect", picture, "--bundle", bundle).output


def test_the_worker_gets_files_in_and_annotations_out(bundle, picture, tmp_path):
    model = model_of(load_bundle(bundle))
    assert model.version == load_bundle(bundle).version
    assert isinstance(model.detect(picture.read_bytes()), list)
    with pytest.raises(InvalidInput, match="the picture cannot be read"):
        model.detect(b"nonsense")


def test_a_missing_file_is_named_before_any_work(invoke, bundle, picture, tmp_path):
    with pytest.raises(NotFound, match=r"nowhere\.jpg"):
        invoke("detect", picture, tmp_path / "nowhere.jpg", "--bundle", bundle)


def test_a_file_that_is_no_picture_is_named(invoke, bundle, tmp_path):
    (tmp_path / "notes.jpg").write_text("hello")
    with pytest.raises(InvalidInput, match=r"notes\.jpg cannot be read as an image"):
        invoke("detect", tmp_path / "notes.jpg", "--bundle", bundle)


@pytest.mark.parametrize("device", ["cuda:7", "toaster"])
def test_a_device_that_is_not_there_is_refused(invoke, picture, bundle, device):
    with pytest.raises(InvalidInput, match="there is no device"):
        invoke("detect", picture, "--bundle", bundle, "--device", device)

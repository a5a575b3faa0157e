"""Bundles: what is written can be read, and nothing else can."""

import os
import re

import pytest

pytest.importorskip("torch", reason="the detector needs PyTorch: pip install -e '.[detector]'")

import torch

from spi_dash.detector.bundle import REFERENCE, Bundle, load_bundle, load_reference, read_version, save_model
from spi_dash.detector.model import InsectNet, ModelArgs, fold
from spi_dash.detector.predict import DetectArgs
from spi_dash.errors import InvalidInput, NotFound


@pytest.fixture
def net():
    torch.manual_seed(0)
    return InsectNet(ModelArgs(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1)))


@pytest.fixture
def bundle(tmp_path, net):
    save_model(Bundle(tmp_path), net, DetectArgs(min_score=0.3), {"step": 7})
    return Bundle(tmp_path)


def test_a_saved_model_gives_the_same_answers(bundle, net):
    loaded = load_bundle(bundle.folder)
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(loaded.detector.net(x), fold(net)(x), atol=0.02)  # half precision
    assert loaded.facts == {"step": 7} and loaded.detector.args.min_score == 0.3


def test_the_version_is_time_and_md5_of_the_weights(bundle):
    version = bundle.version_file.read_text().strip()
    assert re.fullmatch(r"\d{10}-[0-9a-f]{32}", version)
    assert read_version(bundle) == version == load_bundle(bundle.folder).version
    assert version.startswith(str(int(os.stat(bundle.weights).st_mtime)))


def test_weights_that_do_not_match_their_version_are_refused(bundle):
    bundle.weights.write_bytes(bundle.weights.read_bytes() + b"x")
    with pytest.raises(InvalidInput, match="does not match its version"):
        load_bundle(bundle.folder)


@pytest.mark.parametrize("name", ["weights", "version_file"])
def test_a_missing_file_is_named(bundle, name):
    getattr(bundle, name).unlink()
    with pytest.raises(NotFound):
        load_bundle(bundle.folder)


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/spi-evil",)


@pytest.mark.parametrize("content", [{"model": Evil()}, {"model": {}}, ["a", "list"], 7])
def test_weights_of_others_neither_run_code_nor_load(bundle, content):
    torch.save(content, bundle.weights)
    write_version(bundle)
    with pytest.raises(InvalidInput):
        load_bundle(bundle.folder)


def test_damaged_weights_are_refused(bundle):
    bundle.weights.write_bytes(bundle.weights.read_bytes()[:1000])
    write_version(bundle)
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_bundle(bundle.folder)


def test_the_lab_sets_thresholds(bundle):
    configure(bundle, '{"detect": {"min_score": 0.7}}')
    assert load_bundle(bundle.folder).detector.args == DetectArgs(min_score=0.7)


@pytest.mark.parametrize("text", ["a: 1", "[]", '{"detect": {"speed": 1}}', '{"detect": {"min_score": "high"}}'])
def test_settings_not_understood_are_refused(bundle, text):
    configure(bundle, text)
    with pytest.raises(InvalidInput, match=r"config\.yaml"):
        load_bundle(bundle.folder)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference model has not been trained yet")
def test_the_reference_model_is_small_and_described():
    size = sum(file.stat().st_size for file in REFERENCE.rglob("*") if file.is_file())
    card = (REFERENCE / "MODEL_CARD.md").read_text()
    assert size < 20e6 and load_reference().version in card


def write_version(bundle):
    import hashlib

    bundle.version_file.write_text(f"1-{hashlib.md5(bundle.weights.read_bytes()).hexdigest()}")


def configure(bundle, text):
    bundle.config.parent.mkdir()
    bundle.config.write_text(text)

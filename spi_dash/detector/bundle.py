"""A bundle: the folder that holds all of one detector, on disk as on the server (wire contract 4.14).

config/config.yaml       settings; JSON, which every YAML reader reads
data/*.svg               annotated cards
output/model_final.pth   weights and what is needed to build the network; plain tensors and values only
output/.version.txt      <int mtime of the weights>-<md5 of the weights>: the `algo_version` of annotations
output/checkpoint.pt     where training resumes; stays on the machine that trains
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import InvalidInput, NotFound
from .model import InsectNet, ModelArgs, fold
from .predict import DetectArgs, Detector

ALGO_NAME = "universal-insect-detector"
REFERENCE = Path(__file__).with_name("reference")


@dataclass(frozen=True)
class Bundle:
    """Where things are in a bundle's folder."""

    folder: Path

    @property
    def labels(self) -> Path:
        return self.folder / "data"

    @property
    def config(self) -> Path:
        return self.folder / "config" / "config.yaml"

    @property
    def weights(self) -> Path:
        return self.folder / "output" / "model_final.pth"

    @property
    def version_file(self) -> Path:
        return self.folder / "output" / ".version.txt"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "output" / "checkpoint.pt"


def save_model(bundle: Bundle, net: InsectNet, detect: DetectArgs, facts: dict[str, Any]) -> str:
    """Write weights and version; returns the version. `facts`: plain values about the training, for people."""
    # Half precision halves the file and changes no detection; norms stay exact, their variances can be tiny.
    state = {name: value.half() if value.ndim > 1 else value.clone() for name, value in net.state_dict().items()}
    model_args = {name: list(value) for name, value in asdict(net.args).items()}
    content = {"model": state, "model_args": model_args, "detect_args": asdict(detect), "facts": facts}
    write_atomically(bundle.weights, content)
    version = f"{int(bundle.weights.stat().st_mtime)}-{_md5(bundle.weights)}"
    bundle.version_file.write_text(version + "\n")
    return version


def write_atomically(file: Path, content: dict[str, Any]) -> None:
    """torch.save that leaves the old file or the new one, never half of one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(file.name + ".tmp")
    torch.save(content, unfinished)
    os.replace(unfinished, file)


def read_version(bundle: Bundle) -> str:
    """The version of a bundle's weights, checked against the weights themselves."""
    if not bundle.weights.is_file():
        raise NotFound(f"there are no trained weights in {bundle.folder}", folder=str(bundle.folder))
    if not bundle.version_file.is_file():
        raise NotFound(f"{bundle.version_file} is missing: train again or fetch the bundle again")
    version = bundle.version_file.read_text().strip()
    if version.partition("-")[2] != _md5(bundle.weights):
        raise InvalidInput(f"{bundle.weights} does not match its version {version}: fetch the bundle again")
    return version


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Loaded:
    """A detector and the version that its annotations carry."""

    detector: Detector
    version: str
    facts: dict[str, Any]


def load_bundle(folder: Path, device: str = "cpu") -> Loaded:
    """The trained detector of a bundle, ready to use. The weights are checked first and cannot run code."""
    bundle = Bundle(folder)
    version = read_version(bundle)
    net, content = read_model(folder)
    try:
        detector = Detector(fold(net), DetectArgs(**{**content["detect_args"], **read_config(bundle)}), device)
        return Loaded(detector, version, content["facts"])
    except (KeyError, TypeError) as error:
        raise InvalidInput(f"{bundle.weights} is not a model of this program: {error}") from None


def read_model(folder: Path) -> tuple[InsectNet, dict[str, Any]]:
    """The network of a bundle as it was trained, and all that its file says; checked against the bundle's version."""
    bundle = Bundle(folder)
    read_version(bundle)
    content = read_tensors(bundle.weights)
    try:
        net = InsectNet(ModelArgs(**{name: tuple(value) for name, value in content["model_args"].items()}))
        net.load_state_dict({name: value.float() for name, value in content["model"].items()})
    except (KeyError, TypeError, RuntimeError) as error:
        raise InvalidInput(f"{bundle.weights} is not a model of this program: {error}") from None
    return net, content


def load_reference() -> Loaded:
    """The detector that comes with the program; its model card is beside it."""
    return load_bundle(REFERENCE)


def read_tensors(file: Path) -> dict[str, Any]:
    """torch.load that refuses everything but tensors and plain values."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler raised, down to KeyError
        raise InvalidInput(f"{file} cannot be read as weights: {type(error).__name__}") from error


def read_config(bundle: Bundle) -> dict[str, float]:
    """The thresholds that the lab sets in config/config.yaml under "detect"; none if there is no such file."""
    if not bundle.config.is_file():
        return {}
    try:
        settings = json.loads(bundle.config.read_text()).get("detect", {})
    except (json.JSONDecodeError, AttributeError) as error:
        raise InvalidInput(f'{bundle.config} must be JSON, {{"detect": {{...}}}}: {error}') from None
    unknown = settings.keys() - DetectArgs.__dataclass_fields__.keys()
    if unknown or not all(isinstance(value, int | float) for value in settings.values()):
        raise InvalidInput(f"{bundle.config} has a setting that is unknown or no number: {sorted(unknown) or settings}")
    return settings

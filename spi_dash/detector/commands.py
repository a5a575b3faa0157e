"""`spi-dash detector ...`. PyTorch is imported inside the commands: `--help` must not wait for it."""

import json
import logging
import math
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError, InvalidInput, NotFound

if TYPE_CHECKING:
    from .bundle import Loaded

PASSWORD_VARIABLES = ("SPI_PASSWORD", "UID_PASSWORD")
FOLDER = click.Path(path_type=Path, file_okay=False)
DEVICE = click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, cuda, cuda:1 ...")
THREADS = click.option("--threads", type=click.IntRange(1), help="Processor cores to use, instead of all.")


@click.group()
def detector() -> None:
    """Find insects on pictures of sticky cards; train and judge the network that does it.

    A BUNDLE_DIR is a folder with config/, data/ (annotated cards) and output/ (weights).
    """


@detector.command()
@click.argument("bundle_dir", type=FOLDER)
@click.option("--labels", type=FOLDER, help="Folder of annotated SVG files, instead of BUNDLE_DIR/data.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after this time.")
@click.option("--steps", type=click.IntRange(1), help="Stop after so many steps. The same seed gives the same model.")
@click.option("--hold-out", multiple=True, metavar="NAME", help="Validate on cards whose name begins so; repeatable.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--workers", type=click.IntRange(0), default=0, help="Processes that prepare pictures; a GPU wants 8.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in BUNDLE_DIR.")
@click.option(
    "--from",
    "start",
    metavar="BUNDLE",
    help="Begin with the weights of this bundle, or of 'reference', instead of random ones: for few annotated cards.",
)
@DEVICE
@THREADS
def train(
    bundle_dir: Path,
    labels: Path | None,
    minutes: float | None,
    steps: int | None,
    hold_out: tuple[str, ...],
    seed: int,
    workers: int,
    resume: bool,
    start: str | None,
    device: str,
    threads: int | None,
) -> None:
    """Train on annotated cards; the best weights so far are always in BUNDLE_DIR/output.

    An hour on one core gives a usable network, ten hours a good one. Stop it with Ctrl-C, go on with --resume.
    """
    from tqdm import tqdm

    from .bundle import REFERENCE, Bundle
    from .labels import read_cards
    from .model import ModelArgs
    from .train import FINE_TUNING_RATE, TrainArgs, load_checkpoint, make_trainer, split_cards, start_from, train

    if resume and start is not None:
        raise InvalidInput("--resume goes on from the checkpoint, --from begins anew: give one of the two")

    where = choose_device(device, threads)
    bundle = Bundle(bundle_dir)
    check_checkpoint(bundle.checkpoint, resume)
    rate = FINE_TUNING_RATE if start is not None else TrainArgs.learning_rate
    args = TrainArgs(
        seed=seed,
        minutes=minutes or math.inf,
        steps=steps or TrainArgs.steps,
        learning_rate=rate,
        workers=workers,
    )
    cards, held = split_cards(read_cards(labels or bundle.labels), hold_out, seed)
    if resume:
        trainer = load_checkpoint(bundle, args, where)
    elif start is not None:
        trainer = start_from(REFERENCE if start == "reference" else Path(start), args, where)
    else:
        trainer = make_trainer(ModelArgs(), args, where)
    click.echo(f"training on {len(cards)} cards, validating on {', '.join(card.name for card in held)}", err=True)
    with tqdm(total=1.0, bar_format="{l_bar}{bar}| {elapsed} step {postfix}", disable=None) as bar:

        def say(progress: float, text: str | None) -> None:
            bar.n = progress
            bar.set_postfix_str(str(trainer.step))
            if text:
                bar.write(text)

        train(bundle, trainer, cards, held, args, say)


@detector.command()
@click.argument("bundle_dir", type=FOLDER, required=False)
@click.option("--labels", type=FOLDER, required=True, help="Folder of annotated SVG files.")
@click.option("--hold-out", multiple=True, metavar="NAME", help="Only cards whose name begins so; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@DEVICE
@THREADS
def evaluate(
    bundle_dir: Path | None,
    labels: Path,
    hold_out: tuple[str, ...],
    as_json: bool,
    device: str,
    threads: int | None,
) -> None:
    """Compare a bundle's detections with hand-drawn outlines; without BUNDLE_DIR, those of the reference model.

    Figures on cards that the model was trained on say nothing about other cards.
    """
    from .evaluate import evaluate, summarise
    from .labels import read_cards

    choose_device(device, threads)
    loaded = load(bundle_dir, device)
    cards = [card for card in read_cards(labels) if card.name.startswith(hold_out or "")]
    if not cards:
        raise NotFound(f"no card in {labels} has a name that begins with {' or '.join(hold_out)}")
    figures = {"version": loaded.version, **summarise(evaluate(loaded.detector, cards))}
    click.echo(json.dumps(figures) if as_json else format_figures(figures))


@detector.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file and line, with the outlines.")
@click.option("--overlay", type=FOLDER, help="Folder for copies of the pictures with the outlines drawn.")
@click.option("--bundle", type=FOLDER, help="Use the model of this bundle instead of the reference model.")
@DEVICE
@THREADS
def detect(
    files: tuple[Path, ...],
    as_json: bool,
    overlay: Path | None,
    bundle: Path | None,
    device: str,
    threads: int | None,
) -> None:
    """Find the insects on pictures (JPEG, PNG ...): prints how many, or their outlines."""
    from .annotation import annotation_of, draw_overlay
    from .predict import decode_image

    for file in files:  # all before the first: nobody waits for ten pictures to read that the eleventh is misspelt
        if not file.is_file():
            raise NotFound(f"there is no file {file}", file=str(file))
    choose_device(device, threads)
    loaded = load(bundle, device)
    if overlay is not None:
        overlay.mkdir(parents=True, exist_ok=True)
    for file in files:
        image = decode_image(file.read_bytes(), str(file))
        found = loaded.detector(image)
        if as_json:
            annotations = [{**annotation_of(one), "score": round(one.score, 4)} for one in found]
            h, w = image.shape[:2]
            click.echo(json.dumps({"file": str(file), "width": w, "height": h, "annotations": annotations}))
        else:
            click.echo(f"{file}: {len(found)} insects")
        if overlay is not None:
            draw_overlay(image, found).save(overlay / f"{file.stem}.jpg", quality=90)


@detector.command()
@click.option(
    "--url",
    required=True,
    envvar="SPI_API_URL",
    help="The server's API, as in https://api.example.org [env: SPI_API_URL]",
)
@click.option("--user", required=True, envvar="UID_USER", help="Name of an account that may write. [env: UID_USER]")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Read the password from the first line of FILE.",
)
@click.option(
    "--bundle-cache",
    type=FOLDER,
    default=Path("~/.cache/spi-dash/bundles"),
    show_default=True,
    help="Where downloaded models are kept.",
)
@click.option("--with-parent", is_flag=True, hidden=True, help="End when the process that started this one is gone.")
@DEVICE
@THREADS
def run(
    url: str,
    user: str,
    password_file: Path | None,
    bundle_cache: Path,
    with_parent: bool,
    device: str,
    threads: int | None,
) -> None:
    """Annotate the pictures of a server, newest first, and wait for more.

    Start as many as you like, on any machines: no picture is done twice. The password comes from --password-file, or
    the variable SPI_PASSWORD, or UID_PASSWORD. There is no option for it: everybody on this machine could read it in
    the list of processes.

    SIGTERM or Ctrl-C finish the picture at hand and give the others back. The exit code is then 0, and 1 when nothing
    can be done without a person: a wrong password, a model that cannot be used.
    """
    parent = os.getppid() if with_parent else None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # nothing is claimed while PyTorch is being read
    password = read_password(password_file)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    choose_device(device, threads)
    from .sidecar import make_client, make_worker
    from .worker import stop_on_signals

    with make_client(url, user, password) as client:
        make_worker(client, bundle_cache.expanduser(), device, stop_on_signals(), parent).run()


def read_password(file: Path | None) -> str:
    """From a file or the environment."""
    if file is not None:
        return (file.read_text(encoding="utf-8").splitlines() or [""])[0]
    # Of the machine that detects, not of a server's configuration: config.py knows nothing of it.
    found = next((os.environ[name] for name in PASSWORD_VARIABLES if os.environ.get(name)), None)
    if found is None:
        raise ConfigError(f"the password is missing: give --password-file, or set {' or '.join(PASSWORD_VARIABLES)}")
    return found


def load(bundle_dir: Path | None, device: str) -> "Loaded":
    """The model of a bundle, or the reference model."""
    from .bundle import REFERENCE, load_bundle

    return load_bundle(REFERENCE if bundle_dir is None else bundle_dir, device)


def choose_device(device: str, threads: int | None) -> Any:
    """A torch.device that exists here; sets the number of threads."""
    try:
        import torch
    except ImportError:
        raise ConfigError("the detector needs PyTorch: pip install 'spi-dash[detector]'") from None
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        where = torch.device(device)
        torch.empty(1, device=where)
    except (RuntimeError, AssertionError) as error:
        raise InvalidInput(f"there is no device {device!r} here: {str(error).splitlines()[0]}") from None
    return where


def check_checkpoint(checkpoint: Path, resume: bool) -> None:
    """Neither lose hours of training by accident nor resume from nothing."""
    if resume and not checkpoint.is_file():
        raise NotFound(f"there is nothing to resume from: {checkpoint} does not exist")
    if not resume and checkpoint.is_file():
        raise InvalidInput(f"{checkpoint} exists: --resume goes on from it, deleting it lets you start anew")


def format_figures(figures: dict[str, Any]) -> str:
    """Figures of `summarise` as a table for people."""
    lines = [f"{figures['images']} pictures, {figures['insects']} insects drawn, {figures['found']} found"]
    lines += [f"{'':24}precision  recall     F1"]
    lines += [
        f"{name.replace('_', ' '):24}{row['precision']:9.3f}{row['recall']:8.3f}{row['f1']:7.3f}"
        for name, row in figures.items()
        if isinstance(row, dict)
    ]
    lines += [f"count error per picture {figures['count_error_per_image']:.1f}"]
    lines += [f"seconds per picture {figures['seconds_per_image']:.2f}"]
    return "\n".join(lines)

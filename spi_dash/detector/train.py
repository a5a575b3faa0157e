"""Train the detector of a bundle on annotated cards.

    spi-dash detector train BUNDLE_DIR --labels DIR --minutes 60
    spi-dash detector train BUNDLE_DIR --labels DIR --minutes 600 --resume
    spi-dash detector train BUNDLE_DIR --labels DIR --minutes 60 --from reference

Some cards are held back, whole physical cards and at least one device that training never sees; progress is measured
on them and the best weights are kept. A checkpoint is all that is needed to go on after an interruption.
"""

import json
import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from ..errors import InvalidInput, SpiError
from .bundle import Bundle, read_model, read_tensors, save_model, write_atomically
from .data import Batches, Targets
from .evaluate import choose_min_score, evaluate, keep_from, quality_of, summarise
from .labels import Card, group_cards
from .model import FOREGROUND, HEAT, OFFSET_Y, InsectNet, ModelArgs, fold
from .predict import DetectArgs, Detector

Say = Callable[[float, str | None], None]  # progress from 0 to 1; a line for people, if there is one


@dataclass(frozen=True)
class TrainArgs:
    """How to train. Training ends after `steps` or `minutes`, whichever comes first; the rate falls towards that end.

    Only `steps` gives the same model twice, as minutes hold more or fewer steps.
    """

    seed: int = 0
    steps: int = 40_000
    minutes: float = math.inf
    batch: int = 6
    crop_px: int = 448
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    decay_from: float = 0.45  # fraction of the run after which the rate falls
    average: float = 0.998  # of the weights that are evaluated and kept, per step
    report_minutes: float = 8.0
    workers: int = 0  # processes that prepare batches; with 0 the training process does it


@dataclass
class Trainer:
    """The state of a training run. `average` follows `net` slowly and is what is evaluated and saved."""

    net: InsectNet
    average: InsectNet
    optimizer: torch.optim.Optimizer
    step: int = 0
    best: float = -1.0


FINE_TUNING_RATE = 1e-3  # weights that are good already are moved less


class Diverged(SpiError):
    """The loss is not finite: the weights are lost, the checkpoint is not."""

    code = "diverged"


def make_trainer(model_args: ModelArgs, args: TrainArgs, device: torch.device) -> Trainer:
    """A network with weights from the seed, and its optimizer."""
    torch.manual_seed(args.seed)
    net = InsectNet(model_args).to(device, memory_format=torch.channels_last)
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim <= 1]  # biases and norms: decay would only bias them
    groups = [{"params": matrices, "weight_decay": args.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return Trainer(net, deepcopy(net).eval(), torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.98)))


def start_from(folder: Path, args: TrainArgs, device: torch.device) -> Trainer:
    """A trainer that begins with the weights of another bundle instead of random ones (fine-tuning)."""
    source, _ = read_model(folder)
    trainer = make_trainer(source.args, args, device)
    trainer.net.load_state_dict(source.state_dict())
    trainer.average.load_state_dict(source.state_dict())
    return trainer


def loss_of(out: torch.Tensor, targets: Targets) -> torch.Tensor:
    """One number for how wrong the maps (B, 4, h, w) are.

    Foreground: cross entropy and Dice (Milletari et al. 2016, doi:10.1109/3DV.2016.79). Heat: focal loss (CenterNet,
    Zhou et al. 2019, arXiv:1904.07850). Offsets: smooth L1 on insect pixels.
    """
    logits, weight, truth = out[:, FOREGROUND], targets.weight, targets.foreground
    entropy = (F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * weight).mean()
    chance = logits.sigmoid()
    dice = 1 - (2 * (weight * chance * truth).sum() + 1) / ((weight * (chance + truth)).sum() + 1)
    miss = (out[:, OFFSET_Y:] - targets.offset).abs()  # (B, 2, h, w)
    smooth = torch.where(miss < 0.1, miss.square() * 5, miss - 0.05).sum(dim=1)
    offset = (smooth * weight * truth).sum() / (weight * truth).sum().clamp(min=1)
    return 2 * entropy + dice + 0.3 * _heat_loss(out[:, HEAT], targets.heat) + offset


def _heat_loss(logits: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    chance = logits.sigmoid().clamp(1e-4, 1 - 1e-4)  # (B, h, w)
    peak = heat >= 1
    at_peaks = torch.where(peak, (1 - chance).square() * chance.log(), 0)
    around = torch.where(peak, 0, (1 - heat).pow(4) * chance.square() * (1 - chance).log())
    return -(at_peaks + around).sum() / peak.sum().clamp(min=1)


def train_step(trainer: Trainer, images: torch.Tensor, targets: Targets, args: TrainArgs, rate: float) -> float:
    """One step on one batch with `rate` times the learning rate; returns the loss."""
    device = next(trainer.net.parameters()).device
    trainer.net.train()
    for group in trainer.optimizer.param_groups:
        group["lr"] = args.learning_rate * rate
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        out = trainer.net(images)
    loss = loss_of(out.float(), targets.to(device))
    if not torch.isfinite(loss):
        raise Diverged(f"the loss is not finite at step {trainer.step}: resume, or train with a lower rate")
    trainer.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(trainer.net.parameters(), 3.0)
    trainer.optimizer.step()
    trainer.step += 1
    _follow(trainer, min(args.average, trainer.step / (trainer.step + 10)))
    return float(loss.detach())


@torch.no_grad()
def _follow(trainer: Trainer, keep: float) -> None:
    for slow, fast in zip(trainer.average.state_dict().values(), trainer.net.state_dict().values(), strict=True):
        slow.lerp_(fast, 1 - keep) if slow.is_floating_point() else slow.copy_(fast)


def rate_at(progress: float, steps_done: int, args: TrainArgs) -> float:
    """Warm up, stay, fall to nothing as a cosine; `progress` is 0 to 1."""
    falling = max(0.0, (progress - args.decay_from) / (1 - args.decay_from))
    warm = min(1.0, (steps_done + 1) / args.warmup_steps)
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(falling, 1.0))))


def split_cards(cards: list[Card], hold_out: tuple[str, ...], seed: int) -> tuple[list[Card], list[Card]]:
    """Cards to train on and cards held back.

    Args:
        hold_out: beginnings of names; empty lets the seed choose one device and about every fourth physical card.
    """
    if not hold_out:
        hold_out = _choose_held_out(cards, seed)
    held = [card for card in cards if card.name.startswith(hold_out)]
    training = [card for card in cards if not card.name.startswith(hold_out)]
    if not training or not held:
        raise InvalidInput("nothing is left to train on or to validate on: annotate pictures of several cards")
    return training, held


def _choose_held_out(cards: list[Card], seed: int) -> tuple[str, ...]:
    groups = group_cards(cards)
    rng = np.random.default_rng(seed)
    order = [groups[k] for k in rng.permutation(len(groups))]
    per_device = {card.device: sum(group[0].device == card.device for group in groups) for card in cards}
    whole_device = min(order, key=lambda group: per_device[group[0].device])
    others = [group for group in order if group is not whole_device and per_device[group[0].device] > 1]
    chosen = [whole_device, *others[: max(len(groups) // 4 - 1, 0)]]
    return tuple(card.name for group in chosen for card in group)


def save_checkpoint(bundle: Bundle, trainer: Trainer, args: TrainArgs) -> None:
    """All that is needed to go on."""
    write_atomically(
        bundle.checkpoint,
        {
            "model": trainer.net.state_dict(),
            "average": trainer.average.state_dict(),
            "optimizer": trainer.optimizer.state_dict(),
            "model_args": {name: list(value) for name, value in asdict(trainer.net.args).items()},
            "config": asdict(args),
            "step": trainer.step,
            "best": trainer.best,
        },
    )


def load_checkpoint(bundle: Bundle, args: TrainArgs, device: torch.device) -> Trainer:
    """The trainer as it was saved; learning rate and schedule come from `args`."""
    content = read_tensors(bundle.checkpoint)
    model_args = ModelArgs(**{name: tuple(value) for name, value in content["model_args"].items()})
    trainer = make_trainer(model_args, args, device)
    trainer.net.load_state_dict(content["model"])
    trainer.average.load_state_dict(content["average"])
    trainer.optimizer.load_state_dict(content["optimizer"])
    trainer.step, trainer.best = content["step"], content["best"]
    return trainer


def train(bundle: Bundle, trainer: Trainer, cards: list[Card], held: list[Card], args: TrainArgs, say: Say) -> None:
    """Train to the end of `args`, reporting, evaluating and saving on the way."""
    batches = Batches(cards, args.seed, args.batch, args.crop_px)
    first, started = trainer.step, time.monotonic()
    reported, losses = started, []
    numbers = range(first, first + args.steps)
    try:
        for images, targets in DataLoader(batches, batch_size=None, sampler=numbers, num_workers=args.workers):
            done = trainer.step - first
            progress = max(done / args.steps, (time.monotonic() - started) / 60 / args.minutes)
            if progress >= 1:
                break
            losses.append(train_step(trainer, images, targets, args, rate_at(progress, done, args)))
            say(progress, None)
            if time.monotonic() - reported > args.report_minutes * 60:
                say(progress, report(bundle, trainer, held, args, losses))
                reported, losses = time.monotonic(), []
    except KeyboardInterrupt:
        save_checkpoint(bundle, trainer, args)
        raise
    say(1.0, report(bundle, trainer, held, args, losses))


def report(bundle: Bundle, trainer: Trainer, held: list[Card], args: TrainArgs, losses: list[float]) -> str:
    """Evaluate, save the weights if they are the best so far, save the checkpoint; returns one line for people."""
    net = fold(deepcopy(trainer.average))
    detector = Detector(net, DetectArgs(min_score=0.1), str(next(net.parameters()).device))
    comparisons = evaluate(detector, held)
    detect_args = DetectArgs(min_score=choose_min_score(comparisons))
    comparisons = [keep_from(comparison, detect_args.min_score) for comparison in comparisons]
    figures, quality = summarise(comparisons), quality_of(comparisons)
    facts = {"step": trainer.step, "held_out": [card.name for card in held], "config": asdict(args), "figures": figures}
    if quality > trainer.best:
        trainer.best = quality
        save_model(bundle, trainer.average, detect_args, facts)
    save_checkpoint(bundle, trainer, args)
    loss = sum(losses) / max(len(losses), 1)
    record = {"time": time.time(), "loss": loss, "min_score": detect_args.min_score, **facts}
    _log(bundle.folder / "output" / "progress.jsonl", record)
    return _in_words(trainer, loss, figures)


def _in_words(trainer: Trainer, loss: float, figures: dict) -> str:
    a, b = figures["iou_0.33"], figures["iou_0.5"]
    return (
        f"step {trainer.step}  loss {loss:.3f}  IoU 0.33: P {a['precision']:.3f} R {a['recall']:.3f} F1 {a['f1']:.3f}"
        f"  IoU 0.5: P {b['precision']:.3f} R {b['recall']:.3f} F1 {b['f1']:.3f}  best {trainer.best:.3f}"
    )


def _log(file: Path, record: dict) -> None:
    with file.open("a") as out:
        out.write(json.dumps(record) + "\n")

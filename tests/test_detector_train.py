"""Training: it learns, repeats, resumes, and keeps validation cards to itself."""

import math
from copy import deepcopy
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="the detector needs PyTorch: pip install -e '.[detector]'")

import torch
from detector_cards import write_card, write_cards

from spi_dash.detector.bundle import Bundle, load_bundle
from spi_dash.detector.data import Batches
from spi_dash.detector.labels import read_cards
from spi_dash.detector.model import ModelArgs, fold
from spi_dash.detector.train import (
    Diverged,
    TrainArgs,
    load_checkpoint,
    make_trainer,
    rate_at,
    split_cards,
    start_from,
    train,
    train_step,
)
from spi_dash.errors import InvalidInput

SMALL = ModelArgs(widths=(16, 16, 16, 16), depths=(1, 1, 1, 1))
ARGS = TrainArgs(steps=4, batch=2, crop_px=96, warmup_steps=2)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other are slow on the tiny networks here, and more so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    return read_cards(write_cards(tmp_path_factory.mktemp("cards")))


@pytest.fixture
def run(cards, tmp_path):
    """Train in a bundle; returns the trainer."""

    def run(name, args=ARGS, trainer=None, say=lambda progress, text: None):
        trainer = trainer or make_trainer(SMALL, args, CPU)
        train(Bundle(tmp_path / name), trainer, cards[:2], cards[2:], args, say)
        return trainer

    return run


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.net.parameters()])


def test_the_same_seed_gives_the_same_model(run):
    one, two = run("one"), run("two")
    other = run("other", replace(ARGS, seed=1))
    assert torch.equal(weights(one), weights(two))
    assert not torch.equal(weights(one), weights(other))


def test_one_batch_can_be_learnt_by_heart(cards):
    args = replace(ARGS, learning_rate=6e-3)
    trainer = make_trainer(SMALL, args, CPU)
    images, targets = Batches(cards, seed=0, batch=2, crop_px=96)[0]
    losses = [train_step(trainer, images, targets, args, 1.0) for _ in range(100)]
    assert losses[-1] < 0.3 * losses[0]
    found = trainer.net.eval()(images)[:, 0] > 0
    truth = targets.foreground > 0
    assert (found & truth).sum() / (found | truth).sum() > 0.85


def test_a_resumed_run_ends_like_one_that_was_never_interrupted(run, tmp_path):
    constant = replace(ARGS, warmup_steps=1, decay_from=1.0 - 1e-9)
    whole = run("whole", replace(constant, steps=4))
    run("halves", replace(constant, steps=2))
    resumed = load_checkpoint(Bundle(tmp_path / "halves"), constant, CPU)
    assert resumed.step == 2
    run("halves", replace(constant, steps=2), resumed)
    assert torch.allclose(weights(whole), weights(resumed), atol=1e-6)


def test_fine_tuning_begins_with_the_weights_of_another_bundle(run, tmp_path):
    run("source")
    source = load_bundle(tmp_path / "source").detector
    tuned = start_from(tmp_path / "source", ARGS, CPU)
    assert tuned.step == 0 and tuned.best == -1.0
    image = torch.rand(1, 3, 64, 64) - 0.5
    assert torch.allclose(fold(deepcopy(tuned.average))(image), source.net(image), atol=1e-3)
    before = weights(tuned)
    run("tuned", ARGS, tuned)
    assert not torch.equal(before, weights(tuned))


def test_the_bundle_holds_the_best_weights_and_a_log(run, tmp_path):
    said = []
    run("one", say=lambda progress, text: said.append((progress, text)))
    loaded = load_bundle(tmp_path / "one")
    assert loaded.facts["held_out"] == ["bbbbbbbb.2020-07-01_10-00-00"]
    assert (tmp_path / "one" / "output" / "progress.jsonl").read_text().count("\n") == 1
    assert said[-1][0] == 1.0 and said[-1][1].startswith("step 4")
    assert all(text is None for _, text in said[:-1])


def test_training_stops_when_time_is_up(run):
    assert run("short", replace(ARGS, steps=1000, minutes=1e-9)).step == 0


def test_a_loss_that_is_not_finite_stops_the_training(cards):
    trainer = make_trainer(SMALL, ARGS, CPU)
    images, targets = Batches(cards, seed=0, batch=2, crop_px=96)[0]
    with pytest.raises(Diverged, match="not finite at step 0"):
        train_step(trainer, images * math.nan, targets, ARGS, 1.0)


def test_the_rate_warms_up_stays_and_falls():
    args = TrainArgs(warmup_steps=10, decay_from=0.5)
    assert rate_at(0.0, 0, args) == pytest.approx(0.1)
    assert rate_at(0.3, 50, args) == rate_at(0.5, 90, args) == 1.0
    assert rate_at(1.0, 200, args) == pytest.approx(0.01)


def test_held_out_cards_are_whole_cards_and_a_whole_device(tmp_path):
    for name in ("aaaaaaaa.2020-07-01", "aaaaaaaa.2020-07-02", "aaaaaaaa.2020-09-01", "bbbbbbbb.2020-07-01"):
        write_card(tmp_path, f"{name}_10-00-00", [])
    for seed in range(5):
        training, held = split_cards(read_cards(tmp_path), (), seed)
        assert {card.device for card in held} - {card.device for card in training}
        kept_apart = {card.name[:16] for card in held} & {"aaaaaaaa.2020-07"}
        assert not kept_apart or all(not card.name.startswith("aaaaaaaa.2020-07") for card in training)


def test_named_cards_are_held_out(cards):
    training, held = split_cards(cards, ("aaaaaaaa.2020-08",), 0)
    assert [card.name for card in held] == ["aaaaaaaa.2020-08-01_10-00-00"] and len(training) == 2


def test_nothing_left_is_refused(cards):
    with pytest.raises(InvalidInput, match="nothing is left"):
        split_cards(cards, ("",), 0)

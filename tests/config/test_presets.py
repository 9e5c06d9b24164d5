from __future__ import annotations

import math

import pytest

from bntui.config.kinds import Init
from bntui.config.options import RunConfig, build_config
from bntui.config.presets import PRESETS, UDACITY, VARIANTS
from bntui.messages import events as e
from bntui.messages.alerts import gradient_ratio
from bntui.messages.control import Control
from bntui.messages.history import History
from bntui.training import session


def train(name: str, **options: object) -> History:
    history = History()
    config = build_config({"preset": name, **options, "data": "synthetic", "device": "cpu", "threads": 1})
    session.run(config, history.apply, Control())
    return history


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_configuration_and_says_what_it_is(name: str) -> None:
    config = build_config({"preset": name})
    about, options = PRESETS[name]
    assert about and len(name) + len(about) < 132
    for option, value in options.items():
        assert config.to_dict()[option] == RunConfig(**{option: value}).to_dict()[option]


def test_the_twelve_runs_of_the_lesson_are_there() -> None:
    names = [name for name in PRESETS if name.startswith("udacity-")]
    assert len(names) == len(UDACITY) == 12
    config = build_config({"preset": "udacity-sigmoid-lr0.01-std5"})
    assert (config.hidden, config.activation, config.lr, config.init) == (
        (100,) * 3, "sigmoid", 0.01, Init("normal", 5.0),
    )  # fmt: skip
    assert (config.batch_size, config.max_steps, str(config.optimizer), config.data) == (60, 50_000, "sgd", "mnist")
    assert "plain 0.227, BN 0.853" in PRESETS["udacity-sigmoid-lr0.01-std5"][0]


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_differ_in_nothing_but_what_they_are_about(name: str) -> None:
    made = [build_config({"preset": name, **options}).to_dict() for options in VARIANTS[name].values()]
    assert {} in VARIANTS[name].values() or name == "small-batch"
    differing = {key for config in made for key in config if config[key] != made[0][key]}
    assert differing == {key for options in VARIANTS[name].values() for key in options}
    assert len({str(config) for config in made}) == len(made)


def test_the_learning_rate_follows_the_batch_size() -> None:
    rates = [(options["batch_size"], options["lr"]) for options in VARIANTS["small-batch"].values()]
    assert [size for size, _ in rates] == [32, 16, 8, 4, 2]
    assert {lr / size for size, lr in rates} == {0.1 / 32}
    assert rates[-1] == (PRESETS["small-batch"][1]["batch_size"], PRESETS["small-batch"][1]["lr"])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_arm_that_is_published_to_fail_fails(seed: int) -> None:
    # Of the twelve the one that fails most clearly, on generated digits too.
    small = {"train_samples": 6_000, "validation_samples": 1_000, "max_steps": 600}
    history = train("udacity-relu-lr2-std0.05", seed=seed, **small)
    last = history.epochs[-1].validation
    assert last["batch"].accuracy > 0.7
    assert last["none"].accuracy < 0.3


def test_without_batch_norm_the_gradient_vanishes() -> None:
    history = train("vanishing", train_samples=2_000, validation_samples=200, epochs=2)
    ratios = {arm: gradient_ratio(layers) for arm, layers in history.flow[-1].arms.items()}
    assert math.isfinite(ratios["batch"]) and ratios["none"] < ratios["batch"] / 100
    assert "vanishing" in [alert.kind for alert in history.alerts if isinstance(alert, e.Alert)]

from __future__ import annotations

import json
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from bntui.cli import build_parser
from bntui.config.kinds import Init, Norm, Optimizer
from bntui.config.options import RunConfig, build_config, flag_of, read_config_file
from bntui.errors import UsageError


def test_defaults_are_the_documented_ones() -> None:
    config = RunConfig()
    assert (config.epochs, config.batch_size, config.lr, config.seed) == (10, 32, 0.01, 1)
    assert (config.hidden, config.activation) == ((32, 32), "relu")
    assert (config.init, config.optimizer) == (Init("default"), Optimizer("adam"))
    assert config.arms == (Norm("batch"), Norm("none")) and config.engine == "auto"
    assert (config.dropout, config.bn_momentum, config.bn_eps, config.weights) == (0.0, 0.1, 1e-5, "paired")
    assert (config.device, config.data, config.threads, config.max_steps) == ("auto", None, None, None)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("hidden", "64, 32,8", (64, 32, 8)),
        ("bn_momentum", "cumulative", "cumulative"),
        ("bn_momentum", "0.01", 0.01),
        ("init", "normal:.05", Init("normal", 0.05)),
        ("optimizer", "sgd:0.9", Optimizer("sgd", 0.9)),
        ("arms", "none,group:4,batch", (Norm("none"), Norm("group", 4), Norm("batch"))),
        ("lr", "1e-3", 0.001),
        ("seed", "1_000", 1000),
        ("device", "cuda:1", "cuda:1"),
    ],
)
def test_text_becomes_a_value(name: str, text: str, value: object) -> None:
    config = build_config({name: text})
    assert getattr(config, name) == value
    # As a run keeps it, and goes on with it.
    again = RunConfig(**json.loads(json.dumps(config.to_dict())))
    assert again == config


@pytest.mark.parametrize(
    ("arms", "told"),
    [
        ("batch", "two to six of batch, layer, group:G"), (",".join(["none"] * 7), "two to six"), ("", "two to six"),
        ("batch,batsh", "did you mean batch"), ("batch,group", "group:G"), ("batch,group:0", "G from 1"),
        ("batch,group:5", "a hidden layer of 32 can't be divided by 5"), ("batch,,none", "two to six"),
        ("batch none", "two to six"),
    ],
)  # fmt: skip
def test_arms_that_no_run_can_have(arms: str, told: str) -> None:
    with pytest.raises(UsageError, match="--arms") as error:
        RunConfig(arms=arms)  # type: ignore[arg-type]
    assert told in str(error.value)


def test_an_arm_that_is_to_be_restarted_is_one_of_the_run() -> None:
    assert RunConfig(intervene="5:restart_arm=none").intervene
    with pytest.raises(UsageError, match="restart_arm takes one of batch, none, not 'plain'"):
        RunConfig(intervene="5:restart_arm=plain")


def test_a_value_from_python_is_checked_like_text() -> None:
    assert RunConfig(hidden=[5, 6]).hidden == (5, 6)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--epochs takes a whole number"):
        RunConfig(epochs=2.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--epochs can't be left empty"):
        RunConfig(epochs=None)  # type: ignore[arg-type]


def test_the_message_names_the_option_the_value_and_what_is_allowed() -> None:
    with pytest.raises(UsageError) as error:
        build_config({"activation": "relo"})
    assert str(error.value) == (
        "--activation takes one of relu, sigmoid, tanh, leaky-relu, gelu (did you mean relu?), not 'relo'"
    )


def test_command_line_wins_over_file_over_preset_over_default(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('preset = "lab"\nbatch-size = 64\nlr = 0.5\nhidden = [16, 8]\n')
    config = build_config({**read_config_file(str(file))[0], "lr": "0.25"})
    assert (config.lr, config.batch_size, config.hidden, config.weights) == (0.25, 64, (16, 8), "independent")


def test_the_command_gives_the_same_configuration_again() -> None:
    config = build_config(
        {"hidden": "64,8", "data_dir": "/a b/c", "bn_momentum": "cumulative", "preset": "lab", "max_steps": "7"}
    )
    words = shlex.split(config.to_command())
    assert words[:2] == ["bntui", "--headless"]
    again = vars(build_parser().parse_args(words[1:]))
    again.pop("headless")
    assert build_config(again) == RunConfig(**{**config.to_dict(), "preset": None})


def test_every_option_is_in_the_help_with_its_default() -> None:
    text = " ".join(build_parser().format_help().split())
    for option in fields(RunConfig):
        assert flag_of(option.name) in text
    assert "learning rate (default: 0.01)" in text
    assert "(default: 32,32)" in text


def test_a_width_may_be_repeated() -> None:
    assert RunConfig(hidden="64x3,8").hidden == (64, 64, 64, 8)  # type: ignore[arg-type]
    for text in ("64x0", "64x", "x3", "64x257", "64x200,64x57", "64x2x2"):
        with pytest.raises(UsageError, match="such as 32,32 or 64x8"):
            RunConfig(hidden=text)  # type: ignore[arg-type]

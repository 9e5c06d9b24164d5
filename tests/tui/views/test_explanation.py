from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from rich.cells import cell_len
from torch import Tensor, nn
from torch.nn import functional

from bntui.config.options import RunConfig
from bntui.data.resident import load
from bntui.lab.transform import BatchNorm, backward, forward, track
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.messages.history import History
from bntui.models.mlp import build
from bntui.models.norms import SwitchableBatchNorm1d
from bntui.training import session
from bntui.training.engine import build_engine
from bntui.tui.theme import Look
from bntui.tui.views.explanation import explain_book, explain_panel
from bntui.tui.views.view import View
from scripted_app import started
from training_runs import small

EPS = 1e-5
CPU = torch.device("cpu")
BLOCK = 78
SCALES = [(0, 1.0, 1e-3), (1, 30.0, 1.0), (2, 1e-3, 1e-7), (3, 1e5, 1e3)]
"""Seed, and how large x and ∂y are."""
OFF = "batch norm is switched off: what comes in goes out as it is"
ENDED = "needs a run that goes on: explains the batch being trained on"


def reading(seed: int = 0, x_scale: float = 1.0, dy_scale: float = 1e-3, by_batch: bool = True) -> e.Explained:
    random = np.random.default_rng(seed)
    x = random.normal(random.normal(), 1, 4 + 7 * seed) * x_scale
    weight, bias, mean = random.normal(size=3)
    return e.Explained(
        1234, "batch", "norm2", 5, 0.1, EPS, by_batch, weight, bias, mean * x_scale,
        (random.random() + 0.1) * x_scale**2,
        tuple(x.tolist()), tuple((random.normal(size=len(x)) * dy_scale).tolist()), True)  # fmt: skip


def history(*events: e.Event, norms: Sequence[str] = ("batch", "none"), **config: Any) -> History:
    made = History()
    begun = started(norms, **config)
    layers = {arm: {"norm1": 16, "norm2": 32} for arm in begun.layers}
    made.apply(dataclasses.replace(begun, layers=layers))
    for event in events:
        made.apply(event)
    return made


TALL = 400
"""Lines on which all formulas are on one page, and the table on the next where there is no room beside them."""


def shown(made: History, width: int = 80, look: Look | None = None) -> list[str]:
    """All pages, one below the other."""
    look = look or Look()
    first = explain_panel(made, View(), look, width, TALL).text.plain.split("\n")
    if made.explained is None or len(first) <= 2:
        return first
    book = explain_book(made.explained, made, look, width, TALL)
    return [*first[:2], *(line.plain for page in range(book.pages) for line in book.lines(page))]


def number_of(lines: list[str], label: str, after: str) -> str:
    """The number at the right of the first step with the label after a line that begins with `after`."""
    start = next(i for i, line in enumerate(lines) if line.startswith(after))
    at = next(i for i, line in enumerate(lines[start:], start) if line.startswith(label))
    return next(line for line in lines[at:] if cell_len(line) == BLOCK).split()[-1]


def formula_of(lines: list[str], label: str, after: str) -> str:
    """The line with numbers in the formula below a step, as Python."""
    start = next(i for i, line in enumerate(lines) if line.startswith(after))
    at = next(i for i, line in enumerate(lines[start:], start) if line.startswith(label))
    text = next(line for line in lines[at + 1 :] if line.strip().startswith("= ")).replace("x\u0302", "h")
    if cell_len(text) == BLOCK:
        text = text.rpartition("  ")[0]
    return text.strip()[2:].translate(str.maketrans({"−": "-", "÷": "/", "·": "*", "∂": "d"}))


def table(lines: list[str]) -> dict[str, list[str]]:
    """The columns by their titles."""
    at = next(i for i, line in enumerate(lines) if line.lstrip().startswith("sample "))
    titles = re.split(r" {2,}| (?=x_hat)", lines[at].strip())
    rows = [line.replace(" (ReLU)", "").split() for line in lines[at + 1 :] if re.match(r" *\d+ +-?\d", line)]
    return {title: [row[i] for row in rows] for i, title in enumerate(titles)}


def agrees(text: str, expected: float) -> bool:
    """Whether that is the number as far as its digits go."""
    mantissa, _, exponent = text.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(float(text) - expected) <= 0.51 * unit


class Reference:
    """What PyTorch makes of a reading in float64."""

    def __init__(self, read: e.Explained, training: bool) -> None:
        self.x = torch.tensor(read.x, dtype=torch.float64)[:, None].requires_grad_()
        self.dy = torch.tensor(read.dy, dtype=torch.float64)[:, None]
        numbers = (read.running_mean, read.running_var, read.weight, read.bias)
        self.mean, self.var, self.weight, self.bias = (torch.tensor([v], dtype=torch.float64) for v in numbers)
        for parameter in (self.weight, self.bias):
            parameter.requires_grad_()
        arguments = (self.mean, self.var, self.weight, self.bias)
        self.y = functional.batch_norm(self.x, *arguments, training, read.momentum, read.eps)
        self.y.backward(self.dy)


def steps_by_autograd(read: e.Explained) -> dict[str, Tensor]:
    """The gradients by what lies between x and y."""
    x = torch.tensor(read.x, dtype=torch.float64, requires_grad=True)
    mean = x.mean()
    var = ((x - mean) ** 2).mean()
    x_hat = (x - mean) / torch.sqrt(var + read.eps)
    for value in (mean, var, x_hat):
        value.retain_grad()
    (read.weight * x_hat + read.bias).backward(torch.tensor(read.dy, dtype=torch.float64))
    found = {"mean": mean, "var": var, "x_hat": x_hat}
    assert all(value.grad is not None for value in found.values())
    return {**{name: value.detach() for name, value in found.items()},
            **{f"d_{name}": value.grad for name, value in found.items() if value.grad is not None}}  # fmt: skip


def column(lines: list[str], title: str, expected: Tensor) -> bool:
    cells, values = table(lines)[title], expected.detach().flatten().tolist()
    return all(agrees(*pair) for pair in zip(cells, values, strict=True))


@pytest.mark.parametrize(("seed", "x_scale", "dy_scale"), SCALES)
def test_the_numbers_of_train_mode_are_pytorchs_own(seed: int, x_scale: float, dy_scale: float) -> None:
    read = reading(seed, x_scale, dy_scale)
    made = history(read)
    lines = shown(made)
    own, between = Reference(read, True), steps_by_autograd(read)
    title = "Forward, train mode"
    assert agrees(number_of(lines, "1 mean", title), float(between["mean"]))
    assert agrees(number_of(lines, "2 variance", title), float(between["var"]))
    assert agrees(number_of(lines, "running mean", title), float(own.mean))
    assert agrees(number_of(lines, "running variance", title), float(own.var))
    assert own.weight.grad is not None and own.bias.grad is not None and own.x.grad is not None
    title = "Backward, train mode"
    assert agrees(number_of(lines, "1 shift", title), float(own.bias.grad))
    assert agrees(number_of(lines, "2 scale", title), float(own.weight.grad))
    assert agrees(number_of(lines, "4 variance", title), float(between["d_var"]))
    assert agrees(number_of(lines, "5 mean", title), float(between["d_mean"]))
    title = "Eval mode, after this batch"
    assert agrees(number_of(lines, "running mean", title), float(own.mean))
    assert agrees(number_of(lines, "running variance", title), float(own.var))

    # Evaluated after the step, by what it tracked.
    after = dataclasses.replace(read, running_mean=float(own.mean), running_var=float(own.var))
    evaluated = Reference(after, False)
    assert evaluated.x.grad is not None
    wide = shown(made, 110)
    assert list(table(wide)) == [
        "sample",
        "x",
        "x\u0302 train",
        "y train",
        "y eval",
        "∂y",
        "∂x\u0302",
        "∂x train",
        "∂x eval",
    ]
    assert list(table(lines)) == ["sample", "x", "x\u0302 train", "y train", "y eval", "∂y", "∂x train"]
    for some in (lines, wide):
        assert table(some)["sample"] == [str(i) for i in range(1, len(read.x) + 1)]
        assert column(some, "x", own.x) and column(some, "x\u0302 train", between["x_hat"])
        assert column(some, "y train", own.y) and column(some, "y eval", evaluated.y)
        assert column(some, "∂y", own.dy) and column(some, "∂x train", own.x.grad)
    assert column(wide, "∂x\u0302", between["d_x_hat"]) and column(wide, "∂x eval", evaluated.x.grad)


@pytest.mark.parametrize(("seed", "x_scale", "dy_scale"), SCALES)
def test_formulas_with_numbers_in_them_hold(seed: int, x_scale: float, dy_scale: float) -> None:
    read = reading(seed, x_scale, dy_scale)
    lines, m = shown(history(read)), len(read.x)
    own, between = Reference(read, True), steps_by_autograd(read)
    std, eval_std = float(torch.sqrt(between["var"] + EPS)), float(torch.sqrt(own.var + EPS))
    x, h, dy = float(between["mean"]) + 3 * std, 3.0, 2.5
    title = "Forward, train mode"
    values = {"x": x, "h": h, "dy": dy}
    # How wrong it may come out, as the numbers in it are rounded.
    rough = {"rel": 2e-3 if x_scale >= 1 else 6e-2, "abs": 1e-3}
    assert eval(formula_of(lines, "3 normalize", title), values) == pytest.approx(3, **rough)
    scaled = eval(formula_of(lines, "4 scale", title), values)
    assert scaled == pytest.approx(3 * read.weight + read.bias, **rough)
    assert eval(formula_of(lines, "running mean", title), {}) == pytest.approx(float(own.mean), **rough)
    variance = formula_of(lines, "running variance", title)
    assert eval(variance, {}) == pytest.approx(float(own.var), **rough)
    assert variance.endswith(f"* {m} / {m - 1}")
    title = "Eval mode"
    expected = read.weight * (x - float(own.mean)) / eval_std + read.bias
    assert eval(formula_of(lines, "scaled", title), values) == pytest.approx(expected, **rough)
    backwards = formula_of(lines, "backward", title)
    assert eval(backwards, values) == pytest.approx(dy * read.weight / eval_std, **rough)


@pytest.mark.parametrize(("seed", "x_scale", "dy_scale"), SCALES)
def test_a_step_with_frozen_statistics_is_told_in_eval_mode(seed: int, x_scale: float, dy_scale: float) -> None:
    read = reading(seed, x_scale, dy_scale, by_batch=False)
    lines, wide = shown(history(read)), shown(history(read), 110)
    own, would = Reference(read, False), Reference(read, True)
    title = "Forward, eval mode: the statistics are frozen"
    assert agrees(number_of(lines, "running mean", title), read.running_mean)
    assert agrees(number_of(lines, "running variance", title), read.running_var)
    assert own.weight.grad is not None and own.bias.grad is not None
    assert own.x.grad is not None and would.x.grad is not None
    title = "Backward, eval mode"
    assert agrees(number_of(lines, "1 shift", title), float(own.bias.grad))
    assert agrees(number_of(lines, "2 scale", title), float(own.weight.grad))
    assert agrees(number_of(lines, "2 variance", "Train mode, were they not"), float(steps_by_autograd(read)["var"]))
    assert column(lines, "y eval", own.y) and column(lines, "∂x eval", own.x.grad)
    assert column(wide, "y train", would.y) and column(wide, "∂x train", would.x.grad)
    assert "Forward, train mode" not in "\n".join(wide)


@pytest.mark.parametrize("width", [40, 60, 80, 102, 120, 160, 300])
@pytest.mark.parametrize("by_batch", [True, False])
@pytest.mark.parametrize("marker", ["braille", "ascii"])
def test_no_line_is_wider_than_there_is_room_nor_jumps(width: int, by_batch: bool, marker: str) -> None:
    look = Look(marker)
    shapes = []
    for seed, x_scale, dy_scale in SCALES:
        read = reading(seed, x_scale, dy_scale, by_batch)
        read = dataclasses.replace(read, x=(read.x * 9)[:32], dy=(read.dy * 9)[:32])
        lines = shown(history(read), width, look)
        assert width < 80 or max(cell_len(line) for line in lines) <= width
        assert max(cell_len(line) for line in lines) <= max(width, 62)
        if look.ascii_only:
            assert all(line.isascii() for line in lines)
        shapes.append([(cell_len(line), re.sub(r"[-+−\d.e ]", "", line)) for line in lines[2:]])
    assert shapes[0] == shapes[1] == shapes[2] == shapes[3]


def test_ascii_says_the_same() -> None:
    read = reading(1)
    plain, lines = shown(history(read), look=Look("ascii")), shown(history(read))
    for label, after in (("1 mean", "Forward"), ("running variance", "Eval"), ("4 variance", "Backward")):
        assert number_of(plain, label, after) == number_of(lines, label, after)
    assert list(table(plain).values()) == list(table(lines).values())
    assert "y = gamma * x_hat + beta" in "\n".join(plain)


def test_the_heading_tells_where_and_which_page() -> None:
    made = history(reading())
    title, values = shown(made)[:2]
    assert title == "BN 2 · norm2, channel 5 of 32, step 1,234 · page 1 of 2 · ↑ ↓"
    assert values.startswith("γ ") and "momentum 0.1" in values
    wide = explain_panel(made, View(), Look(), 160, 48).text.plain.split("\n")[0]
    assert wide == "BN 2 · norm2, channel 5 of 32, step 1,234, batch of m = 4 samples"
    made.apply(e.Intervened(1234, 1, "bn_noise", 0.0, 0.1))
    assert "oise follows y" in "\n".join(shown(made))


def test_it_pages_by_step_where_there_is_little_room() -> None:
    read = dataclasses.replace(reading(1), x=(reading(1).x * 9)[:32], dy=(reading(1).dy * 9)[:32])
    made = history(read)
    book = explain_book(read, made, Look(), 80, 18)
    assert book.pages >= 4
    seen = []
    for page in range(book.pages):
        text = explain_panel(made, View(page=page), Look(), 80, 20).text.plain
        assert text.count("\n") < 20 and f"page {page + 1} of {book.pages}" in text.split("\n")[0]
        seen.append(text)
    together = "\n".join(seen)
    for wanted in (
        "Forward, train mode",
        "Statistics",
        "Backward, train mode",
        "Eval mode, after this batch",
        "sample",
    ):
        assert wanted in together
    samples = [int(n) for n in re.findall(r"^ +(\d+) +-?[\d.e+-]+ ", together, re.MULTILINE)]
    assert samples == list(range(1, 33))
    # Pages go round.
    assert explain_panel(made, View(page=book.pages), Look(), 80, 20).text.plain == seen[0]
    assert explain_panel(made, View(page=-1), Look(), 80, 20).text.plain == seen[-1]


def test_zeros_of_the_relu_are_said_to_be() -> None:
    read = dataclasses.replace(reading(1), weight=1.0, bias=0.0)
    y = Reference(read, True).y.detach().flatten().tolist()
    read = dataclasses.replace(read, dy=tuple(0.0 if value <= 0 else 0.5 for value in y))
    told = table(shown(history(read)))["∂y"]
    lines = "\n".join(shown(history(read)))
    assert told.count("0") == sum(value <= 0 for value in y) > 0
    assert lines.count("0 (ReLU)") >= told.count("0") and "the ReLU passes nothing on" in lines
    assert "(ReLU)" not in "\n".join(shown(history(read, activation="sigmoid")))


def test_every_step_has_a_number_or_says_how_many_values_it_has() -> None:
    lines = shown(history(reading(1)))
    text = "\n".join(lines)
    for label in ("3 normalize", "4 scale and shift", "from above", "3 normalized", "6 input"):
        at = next(i for i, line in enumerate(lines) if line.startswith(label))
        assert re.search(r"11 values$", "\n".join(lines[at : at + 3]), re.MULTILINE), label
    assert "1 mean" in text


def test_only_values_have_the_colour_of_the_arm() -> None:
    for norms, arm in ((("batch", "none"), 0), (("none", "batch"), 1)):
        look = Look()
        text = explain_panel(history(reading(), norms=norms), View(), look, 80, TALL).text
        own = [text.plain[span.start : span.end] for span in text.spans if look.colours[arm] in str(span.style)]
        assert len(own) > 10 and all(re.search(r"\d", part) for part in own)
        assert not any(look.colours[1 - arm] in str(span.style) for span in text.spans)


def test_of_several_arms_with_batch_norm_it_is_said_whose_layer_that_is() -> None:
    read = dataclasses.replace(reading(), arm="batch-2")
    norms = ("layer", "batch", "batch")
    made = history(read, norms=norms)
    assert shown(made, 160)[0].startswith("Batch norm (2) layer 2 · norm2, channel 5 of 32")
    # What is switched off, and has noise after it, is the layer norm.
    switched = history(
        read, e.Intervened(9, 1, "bn", True, False), e.Intervened(9, 1, "bn_noise", 0.0, 0.1), norms=norms
    )
    assert shown(switched, 160)[0] == shown(made, 160)[0]
    assert "noise" not in "\n".join(shown(switched, 160))


@pytest.mark.parametrize("height", [1, 2, 5, 17, 60])
def test_it_fits_whatever_room_there_is(height: int) -> None:
    for width in range(20, 201, 9):
        for look in (Look(), Look("ascii", coloured=False)):
            for page in (0, 1, -1):
                text = explain_panel(history(reading(1)), View(page=page), look, width, height).text.plain
                assert text.count("\n") < height and all(cell_len(line) <= width for line in text.split("\n"))
                assert not look.ascii_only or text.isascii()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (History(), "appears with the next step"),
        (history(), "appears with the next step"),
        (history(norms=("group:8", "none")), "this view explains batch norm; here is group norm 8 and no norm"),
        (history(norms=("none", "batch-renorm")), "this view explains batch norm; here is no norm and batch renorm"),
        (history(norms=("none", "none")), "this view explains batch norm; here is no norm"),
        (history(reading(), e.Intervened(9, 1, "bn", True, False)), OFF),
        (history(e.Finished("interrupted", 9, {}, 1.0)), ENDED),
        (history(e.Paused(9)), "press s for a step, or space to go on"),
        (history(dataclasses.replace(reading(), x=(1.0,))), "appears with the next step"),
    ],
)  # fmt: skip
def test_where_there_is_nothing_to_explain_a_line_says_why(made: History, told: str) -> None:
    for width in (40, 160):
        assert shown(made, width)[1] == told[:width]
        replayed = explain_panel(made, View(replay=True), Look(), width, TALL).text.plain
        assert "next step" not in replayed or (made.explained is not None and len(made.explained.x) < 2)
        assert "\n".join(shown(made, width, Look("ascii"))).isascii()


def test_numbers_that_are_none_are_shown_as_such() -> None:
    read = reading(1)
    for bad in (math.nan, math.inf, 3e38):
        for by_batch in (True, False):
            broken = dataclasses.replace(
                read, x=(bad, *read.x[1:]), running_var=bad, weight=bad, by_batch=by_batch, running_mean=-bad
            )
            lines = shown(history(broken))
            assert max(cell_len(line) for line in lines) <= 80
    negative = dataclasses.replace(read, running_var=-1.0, by_batch=False)
    assert "nan" in "\n".join(shown(history(negative)))


def test_numpy_waits_until_there_is_something_to_explain() -> None:
    code = "import sys, bntui.tui.views.explanation; assert 'numpy' not in sys.modules, 'numpy'"
    subprocess.run([sys.executable, "-c", code], check=True)


def explained_steps(config: RunConfig, freeze: bool) -> list[e.Explained]:
    """Steps 4 and 5 of a run, paused before each, while somebody looks at the second layer's channel 7."""
    planned: list[tuple[int, c.Command]] = [(3, c.Pause(True)), (3, c.Step()), (4, c.Step()), (5, c.Pause(False))]
    control = c.Control([*([(2, c.Change("freeze", True))] if freeze else []), *planned])
    control.watching, control.layer, control.unit = frozenset({"explain"}), 1, 7
    events: list[e.Event] = []
    session.run(config, events.append, control)
    return [event for event in events if isinstance(event, e.Explained) and event.step in (4, 5) and event.live]


@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bn_momentum": "cumulative", "engine": "autograd"},
        {"arms": "none,group:8,batch"},
        {"optimizer": "sgd:0.9", "batch_size": 5},
    ],
)
def test_what_a_run_tells_is_what_goes_through_that_layer(options: dict[str, Any], freeze: bool) -> None:
    config = small(epochs=1, threads=1, **options)
    told = explained_steps(config, freeze)
    assert [(read.step, read.arm, read.layer, read.channel) for read in told] == [
        (4, "batch", "norm2", 7), (5, "batch", "norm2", 7),
    ]  # fmt: skip

    # The same steps again, each before it is taken by autograd through a model of the same weights.
    source, arms = load(config, CPU, lambda *_: None, print), build(config, CPU)
    engine = build_engine(config, arms)
    source.begin(arms.generator)
    layer = arms.batch_norms[1]
    for step, (x, y) in zip(range(1, 6), source.epoch(config.batch_size), strict=False):
        if freeze and step == 3:
            for module in arms.batch_norms:
                module.frozen = True
        if step >= 4:
            compare(told[step - 4], config, arms.by_name["batch"], x, y, freeze)
        engine.forward_backward(x, y)
        engine.update()
        if step >= 4:
            read = told[step - 4]
            assert read.by_batch is not freeze
            own = as_layer(read)
            after = own if freeze else track(own, forward(own, np.array([read.x]).T, training=True))
            assert after.running_mean[0] == pytest.approx(float(layer.running_mean[7]), abs=1e-6)
            assert after.running_var[0] == pytest.approx(float(layer.running_var[7]), abs=1e-6)


def as_layer(read: e.Explained) -> BatchNorm:
    numbers = (np.array([v]) for v in (read.weight, read.bias, read.running_mean, read.running_var))
    return BatchNorm(*numbers, read.eps, read.momentum)


def compare(read: e.Explained, config: RunConfig, model: nn.Module, x: Tensor, y: Tensor, freeze: bool) -> None:
    """Compare a reading with autograd through the whole model, and its transform with PyTorch's on the same numbers."""
    fresh = build(config, CPU).by_name["batch"]
    fresh.load_state_dict(model.state_dict())
    layer = next(module for name, module in fresh.named_modules() if name == "norm2")
    assert isinstance(layer, SwitchableBatchNorm1d)
    seen: dict[str, Tensor] = {}

    def keep(_: object, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen["x"], seen["y"] = inputs[0], output
        inputs[0].retain_grad()
        output.retain_grad()

    for module in fresh.modules():
        if isinstance(module, SwitchableBatchNorm1d):
            module.frozen = freeze
    assert (read.running_mean, read.running_var) == (float(layer.running_mean[7]), float(layer.running_var[7]))
    assert (read.weight, read.bias) == (layer.weight[7].item(), layer.bias[7].item())
    layer.register_forward_hook(keep)
    functional.cross_entropy(fresh.train()(x), y).backward()
    dx, dy = seen["x"].grad, seen["y"].grad
    assert dx is not None and dy is not None and layer.weight.grad is not None and layer.bias.grad is not None
    assert read.x == pytest.approx(seen["x"][:, 7].tolist(), abs=1e-6)
    assert read.dy == pytest.approx(dy[:, 7].tolist(), abs=1e-6)

    own = as_layer(read)
    done = forward(own, np.array([read.x]).T, training=read.by_batch)
    back = backward(own, done, np.array([read.dy]).T)
    assert done.y[:, 0] == pytest.approx(seen["y"][:, 7].tolist(), abs=1e-5)
    assert back.x[:, 0] == pytest.approx(dx[:, 7].tolist(), abs=1e-6)
    assert back.weight[0] == pytest.approx(float(layer.weight.grad[7]), abs=1e-6)
    assert back.bias[0] == pytest.approx(float(layer.bias.grad[7]), abs=1e-6)
    double = Reference(read, read.by_batch)
    assert double.x.grad is not None and double.weight.grad is not None
    assert done.y[:, 0] == pytest.approx(double.y.detach()[:, 0].numpy(), abs=1e-9)
    assert back.x[:, 0] == pytest.approx(double.x.grad[:, 0].numpy(), abs=1e-9)
    assert back.weight[0] == pytest.approx(float(double.weight.grad), abs=1e-9)

"""`bntui experiment`: a preset run over several seeds, and what was claimed of it beside what came out."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bntui.alerts import gradient_ratio
from bntui.config import RunConfig
from bntui.errors import UsageError
from bntui.headless import run_headless
from bntui.history import History
from bntui.presets import PRESETS, UDACITY, udacity_name
from bntui.sinks.recorder import Recorder

TRAINS = 0.5
"""Accuracy that separates an arm that trains from one that fails; chance is 0.1."""
NEAR = 0.03
"""How far from a published accuracy ours may lie, on the data set that it was published for."""


@dataclass(frozen=True)
class Claim:
    """Something that can be true of a run or not, with what makes it so stated beforehand."""

    what: str
    published: str
    """The number that was published, empty for none."""
    tolerance: str
    measure: Callable[[History], float]
    holds: Callable[[float], bool]
    """Of the median over the seeds."""
    data: str = ""
    """The only data set on which it can be compared; any, if empty."""


def run_experiment(name: str, config: RunConfig, seeds: int) -> int:
    """Run a preset with so many seeds from the configuration's on, print the table, and return the exit code.

    Every run has a run folder, and its export, of its own. After a signal the table is of the runs that were finished.

    Raises
    ------
    BntuiError
        As for `run_headless`, and where there are no claims about the preset.
    """
    claims = claims_of(name)
    if config.export == "-":
        raise UsageError("--export -: the table goes to stdout; name a file")
    histories: list[History] = []
    code = 0
    for seed in range(config.seed, config.seed + seeds):
        own = replace(config, seed=seed, **_places(config, seed) if seeds > 1 else {})
        recorder = Recorder(own, History())
        code = run_headless(own, recorder, lines=False)
        if code:
            break
        histories.append(recorder.history)
        print(f"bntui: {name}, seed {seed}: run folder {recorder.folder}", file=sys.stderr)
    if histories:
        show(name, claims, histories)
    return code


def claims_of(name: str) -> list[Claim]:
    """Return what is claimed of a preset.

    Raises
    ------
    UsageError
        Nothing is.
    """
    claims = CLAIMS.get(name)
    if claims is None:
        raise UsageError(f"experiment {name}: there is no such; take one of {', '.join(CLAIMS)}")
    return claims


def show(name: str, claims: Sequence[Claim], histories: Sequence[History]) -> None:
    """Print a row for each claim: what was published, ours as median and range, and whether it holds."""
    started = histories[0].started
    assert started is not None
    data = str(started.dataset["name"])
    table = Table(box=box.ASCII, title=f"{name} on {data}, {len(histories)} seeds", title_justify="left")
    for column in ("claim", "published", "ours: median", "range", "holds if", ""):
        table.add_column(column, justify="right" if column in ("published", "ours: median", "range") else "left")
    for claim in claims:
        values = [claim.measure(history) for history in histories]
        median = statistics.median(values)
        comparable = claim.data in ("", data)
        verdict = ("holds" if claim.holds(median) else "does not hold") if comparable else f"only on {claim.data}"
        spread = f"{_write(min(values))} to {_write(max(values))}"
        table.add_row(claim.what, claim.published, _write(median), spread, claim.tolerance, verdict)
    Console(file=sys.stdout, width=140, highlight=False, markup=False, emoji=False).print(table)
    sys.stdout.flush()


def _write(value: float) -> str:
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


def _places(config: RunConfig, seed: int) -> dict[str, Any]:
    """Return where one of several runs leaves its folder and its export."""
    places: dict[str, Any] = {}
    if config.run_dir is not None:
        places["run_dir"] = str(Path(config.run_dir) / f"seed-{seed}")
    if config.export is not None:
        path = Path(config.export)
        places["export"] = str(path.with_name(f"{path.stem}-seed-{seed}{path.suffix}"))
    return places


def _accuracy(arm: str) -> Callable[[History], float]:
    return lambda history: float(getattr(history.epochs[-1].validation, arm).accuracy)


def _published(arm: str, label: str, number: float, near: float = NEAR) -> list[Claim]:
    trains = number >= TRAINS
    return [
        Claim(f"{label} {'trains' if trains else 'fails'}", "", f"{'at least' if trains else 'below'} {TRAINS:g}",
              _accuracy(arm), lambda value: (value >= TRAINS) == trains),
        Claim(f"validation accuracy {label}", f"{number:.3f}", f"within {near:g}", _accuracy(arm),
              lambda value: abs(value - number) <= near, data="mnist"),
    ]  # fmt: skip


def _gradients(history: History) -> float:
    """Return how much smaller the plain arm's ratio of first to last gradient is than that with BN."""
    flow = history.flow[-1]
    return gradient_ratio(flow.plain) / gradient_ratio(flow.bn)


WITH, WITHOUT = "with BN", "without BN"
_AHEAD = Claim(
    "validation accuracy, with BN ahead by", "", "above 0",
    lambda history: _accuracy("bn")(history) - _accuracy("plain")(history), lambda value: value > 0,
)  # fmt: skip
CLAIMS: dict[str, list[Claim]] = {
    "lab": [_AHEAD, *_published("bn", WITH, 0.97, 0.01), *_published("plain", WITHOUT, 0.95, 0.01)],
    "vanishing": [
        Claim("first / last gradient, without BN / with", "", "at most 0.01", _gradients, lambda value: value <= 0.01),
        _AHEAD,
    ],
    **{
        udacity_name(*setting): [*_published("plain", WITHOUT, plain), *_published("bn", WITH, bn)]
        for setting, (plain, bn) in UDACITY.items()
    },
}
"""What is claimed of a preset, by its name."""

assert set(CLAIMS) <= set(PRESETS)

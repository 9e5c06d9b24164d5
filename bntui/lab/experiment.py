"""`bntui experiment`: a preset run over several seeds, and what was claimed of it beside what came out."""

from __future__ import annotations

import io
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bntui.config.options import RunConfig
from bntui.config.presets import PRESETS, VARIANTS
from bntui.errors import UsageError
from bntui.headless import run_headless
from bntui.lab.claims import Claim, Runs, claims_of
from bntui.messages.history import History
from bntui.stdout import put
from bntui.storage.recorder import Recorder
from bntui.text import one_line


def run_experiment(name: str, config: RunConfig, seeds: int) -> int:
    """Run a preset with so many seeds from the configuration's on, print the table, and return the exit code.

    Every run has a run folder, an export and a narration of its own. After a signal the table is of the seeds that were
    finished.

    Raises
    ------
    BntuiError
        As for `run_headless`, and where there are no claims about the preset.
    """
    claims = claims_of(name)
    if config.export == "-":
        raise UsageError("--export -: the table goes to stdout; name a file")
    if config.narrate == "-":
        raise UsageError("--narrate -: the table goes to stdout; name a file")
    if config.resume is not None:
        raise UsageError(f"--resume {config.resume}: an experiment begins anew; resume its run without it")
    if config.arms != RunConfig(**PRESETS[name][1]).arms:
        raise UsageError(f"experiment {name}: what is claimed is of the arms of its preset; leave --arms out")
    variants = VARIANTS.get(name, {"": {}})
    several = seeds * len(variants) > 1
    # All of them before the first begins: what one can't be run with, or not be written to, is told at once.
    recorders: dict[int, dict[str, tuple[RunConfig, Recorder]]] = {}
    for seed in range(config.seed, config.seed + seeds):
        recorders[seed] = {}
        for label, options in variants.items():
            places = _places(config, label, seed) if several else {}
            own = replace(config, seed=seed, **options, **places)
            recorders[seed][label] = own, Recorder(own, History())
    finished: list[Runs] = []
    code = 0
    for seed, of_seed in recorders.items():
        for label, (own, recorder) in of_seed.items():
            code = run_headless(own, recorder, lines=False)
            if code:
                break
            which = ", ".join(word for word in (name, label, f"seed {seed}") if word)
            print(
                one_line(f"bntui: {which}: run folder {recorder.folder}"),
                file=sys.stderr,
            )
        if code:
            break
        finished.append({label: recorder.history for label, (_, recorder) in of_seed.items()})
    if finished:
        show(name, claims, finished)
    return code


def show(name: str, claims: Sequence[Claim], seeds: Sequence[Runs]) -> None:
    """Print a row for each claim: what was published, ours as median and range, and whether it holds."""
    started = next(iter(seeds[0].values())).started
    assert started is not None
    data = str(started.dataset["name"])
    count = "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    table = Table(box=box.ASCII, title=f"{name} on {data}, {count}", title_justify="left")
    for column in ("claim", "published", "ours: median", "range", "holds if", ""):
        table.add_column(column, justify="right" if column in ("published", "ours: median", "range") else "left")
    for claim in claims:
        values = [claim.measure(runs) for runs in seeds]
        # Where a seed has no number, there is none for all: a NaN has no place in an order.
        median = math.nan if any(map(math.isnan, values)) else statistics.median(values)
        comparable = claim.data in ("", data)
        verdict = "holds" if claim.holds(median) else "does not hold"
        if not comparable:
            verdict = f"not comparable: {claim.data}"
        numbers = [value for value in values if not math.isnan(value)]
        spread = f"{_write(min(numbers))} to {_write(max(numbers))}" if numbers else "nan"
        spread += f", {len(values) - len(numbers)} without a number" if 0 < len(numbers) < len(values) else ""
        published = "" if claim.published is None else f"{claim.published:.3f}"
        table.add_row(claim.what, published, _write(median), spread, f"{claim.relation} {claim.limit:g}", verdict)
    console = Console(file=io.StringIO(), width=140, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    put(captured.get(), end="")


def _write(value: float) -> str:
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


def _places(config: RunConfig, label: str, seed: int) -> dict[str, Any]:
    """Return where one of several runs leaves its folder and its export."""
    name = "-".join([*label.split(), f"seed-{seed}"])
    places: dict[str, Any] = {}
    if config.run_dir is not None:
        places["run_dir"] = str(Path(config.run_dir) / name)
    for option in ("export", "narrate"):
        path = Path(getattr(config, option) or "")
        # Who listens at a FIFO or a terminal hears all runs; that is none of the things an export goes to.
        if getattr(config, option) is not None and (option == "export" or path.is_file() or not path.exists()):
            places[option] = str(path.with_name(f"{path.stem}-{name}{path.suffix}"))
    return places

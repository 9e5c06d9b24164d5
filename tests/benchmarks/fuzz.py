"""Feed the readers of bntui what strangers may give them: damaged, hostile and endless files made from real ones.

Each input is one file of a run folder, IDX file, configuration or table, changed at random. A reader may accept it or
refuse it with an error of bntui's own; anything else, more than two seconds, or 500 MiB more memory ends the fuzzing
with exit code 1 and the input in a file.

    python tests/benchmarks/fuzz.py --inputs 100000
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import gzip
import io
import json
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import safetensors.torch
import torch

from bntui.config.options import RunConfig, read_config_file
from bntui.data import idx, resident
from bntui.errors import BntuiError
from bntui.lab.explain import explain, read_batch
from bntui.messages import events as e
from bntui.messages.control import Control
from bntui.messages.history import History
from bntui.messages.series import Series
from bntui.storage.event_json import from_dict, to_dict
from bntui.storage.journal import read_events
from bntui.storage.recorder import Recorder
from bntui.storage.results_file import read_results
from bntui.storage.resume import resumed_config
from bntui.storage.schedule import read_interventions
from bntui.training import checkpoint, session
from bntui.tui.sources.playback import Playback
from bntui.tui.theme import Look
from bntui.tui.views.channels import LAYERS
from bntui.tui.views.charts import CHARTS
from bntui.tui.views.end_card import end_card
from bntui.tui.views.explanation import EXPLAIN
from bntui.tui.views.flow import FLOW
from bntui.tui.views.guide import guide
from bntui.tui.views.status import header, state, tiny
from bntui.tui.views.switcher import VIEWS
from bntui.tui.views.view import AXES, QUANTITIES, SORTS, View
from bntui.tui.views.why import WHY

SECONDS = 2.0
MEMORY = 500 << 20
LOOKS = (Look(), Look("ascii", "light", coloured=False))
SIZES = ((160, 40), (80, 24), (40, 10))
"""The last is about the smallest for which the app does not show a single line."""
_UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 10**9, 10**15, 2**63, -(2**63), 10**400, 0.0, -0.5, 1e-320, 1e100, 1e308, -1e308,
    float("nan"), float("inf"), float("-inf"), "", "x", "bn", "32", "1e999", "batch", "\ud800", "\x1b[2J",
    "\x1b]0;owned\x07", "\x9b31m", "a\x00b", "../../../etc/passwd", "9" * 5_000, "w" * 100_000, "\u202e", "[/bold]",
    [], {}, [[]], [None], [1e308, -1e308], {"event": "Started"}, {"\x1b[1m": 1}, [0.5] * 3, [1] * 5_000,
)  # fmt: skip
"""What takes the place of any part of a JSON file."""

_BYTES = (b"", b"\x00", b"\xff", b"\x1b[2J", b"\n", b'"', b"[", b"{", b"9" * 400, b"1e999", b"NaN", b"\xed\xa0\x80")


class HangError(BaseException):
    """An input took too long; no Exception, so that no reader takes it for one of its own."""


def mutate_bytes(raw: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat or splice some bytes."""
    changed = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(changed) + 1)
        to = min(len(changed), at + rng.choice((1, 4, 64, 1_024)))
        kind = rng.randrange(5)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[at:]
        elif kind == 2:
            del changed[at:to]
        elif kind == 3:
            changed[at:at] = rng.choice(_BYTES)
        else:
            changed[at:at] = changed[rng.randrange(len(changed) + 1) :][: to - at]
    return bytes(changed)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every part of a JSON value that can be replaced, as what it is in and under which key."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        inside = waiting.pop()
        keys = list(inside) if isinstance(inside, dict) else range(len(inside)) if isinstance(inside, list) else ()
        for key in keys:
            found.append((inside, key))
            waiting.append(inside[key])
    return found


def hostile(rng: random.Random) -> Any:
    """Return a hostile value of its own, which can be changed further."""
    return copy.deepcopy(rng.choice(HOSTILE))


def mutate_value(value: Any, rng: random.Random) -> Any:
    """Replace, remove, add, double or exchange some parts of a value, which is changed in place."""
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        found = places(value)
        if not found:
            return hostile(rng)
        # The upper parts are few among the numbers; each level shall have its turn.
        inside, key = rng.choice(found[: rng.choice((8, 40, len(found)))])
        kind = rng.randrange(7)
        if kind <= 2:
            inside[key] = hostile(rng)
        elif kind == 3:
            del inside[key]
        elif kind == 4 and isinstance(inside, dict):
            inside[rng.choice(("new", "\x1b[5m", "event", "step", "x" * 5_000))] = hostile(rng)
        elif kind == 4:
            inside.insert(key, copy.deepcopy(inside[key]))
        elif kind == 5:
            other, elsewhere = rng.choice(found)
            inside[key] = copy.deepcopy(other[elsewhere]) if elsewhere in _keys(other) else None
        elif isinstance(inside[key], int | float) and not isinstance(inside[key], bool):
            inside[key] = inside[key] * rng.choice((-1, 0, 2, 0.5, 1e30))
    return value


def _keys(inside: Any) -> Any:
    return inside if isinstance(inside, dict) else range(len(inside))


def mutate_json(raw: bytes, rng: random.Random) -> bytes:
    """Change a JSON file as one, or nest it deep."""
    if rng.random() < 0.02:
        depth = rng.choice((300, 900, 5_000, 100_000))
        return b"[" * depth + (b"]" * depth if rng.random() < 0.5 else b"")
    value = mutate_value(json.loads(raw), rng)
    if rng.random() < 0.02:
        spot = rng.choice(places(value) or [({}, "x")])
        nested: Any = []
        for _ in range(rng.choice((100, 300, 450))):
            nested = [nested]
        if spot[1] in _keys(spot[0]):
            spot[0][spot[1]] = nested
    return json.dumps(value).encode()


def mutate_journal(raw: bytes, rng: random.Random) -> bytes:
    """Change some lines of a journal, their order and number."""
    lines = raw.splitlines()
    for _ in range(rng.choice((1, 2, 4))):
        at = rng.randrange(len(lines))
        kind = rng.randrange(6)
        if kind <= 2:
            lines[at] = mutate_json(lines[at], rng)
        elif kind == 3 and len(lines) > 1:
            del lines[at]
        elif kind == 4:
            lines.insert(rng.randrange(len(lines)), lines[at])
        else:
            lines[at:at] = [lines[at]] * rng.choice((2, 20))
    return b"\n".join(lines) + b"\n" * rng.randrange(2)


def mutate_text(raw: bytes, rng: random.Random) -> bytes:
    """Change some lines of a TOML or CSV file."""
    lines = raw.split(b"\n")
    at = rng.randrange(len(lines))
    name, mark, _ = lines[at].partition(b"=")
    values = (b"0x" + b"f" * 9_000, b"9" * 9_000, b"[[[1]]]", b"1979-05-27", b"inf", b'"\\u001b[2J"', b"{a=1}", b"-1")
    lines[at] = name + mark + rng.choice(values)
    if rng.random() < 0.1:
        lines.append(rng.choice((b"[", b"a = ")) + rng.choice((b"a.", b"[", b"{a=")) * rng.choice((10, 1_000)))
    return b"\n".join(lines)


def mutate_tensors(raw: bytes, rng: random.Random) -> bytes:
    """Change the header of a safetensors file: what it says of its own length, of tensors, or in its metadata."""
    length = int.from_bytes(raw[:8], "little")
    header, rest = raw[8 : 8 + length], raw[8 + length :]
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice((0, 1, length - 1, 2**31, 2**63, 2**64 - 1)).to_bytes(8, "little") + raw[8:]
    if kind == 1:
        header = mutate_bytes(header, rng)
    elif kind == 2:
        header = json.dumps(mutate_value(json.loads(header), rng)).encode()
    else:
        # The checksum is that of the changed contents, so that it is not all that refuses them.
        changed = json.loads(header)
        state, kept = json.loads(changed["__metadata__"]["contents"])
        text = json.dumps([mutate_value(state, rng), kept])
        with contextlib.suppress(Exception):
            tensors = safetensors.torch.load(raw)
            changed["__metadata__"].update(contents=text, sha256=checkpoint._digest(text, tensors))
        header = json.dumps(changed).encode()
    return len(header).to_bytes(8, "little") + header + rest


def mutate_gzip(raw: bytes, rng: random.Random) -> bytes:
    """Change what is in a gzip file, or make it one of zeros without an end."""
    if rng.random() < 0.005:
        images = b"\x00\x00\x08\x03" + (1_000_000).to_bytes(4, "big") + b"\x00\x00\x00\x1c" * 2
        return gzip.compress(images + bytes(80 << 20), 1)
    return gzip.compress(mutate_bytes(gzip.decompress(raw), rng), 1) if rng.random() < 0.5 else mutate_bytes(raw, rng)


def render(history: History, look: Look, size: tuple[int, int], axis: str) -> Iterator[str]:
    """Yield all text that the app would show of a history: of each panel as if it had a quarter of the screen."""
    width, height = size
    plain = axis == "step"
    yield from tiny(history, look, width, height)
    for rate in (0.0, 123.4):
        yield header(history, look, width, rate).plain
    yield state(history, look, "", width).plain
    yield end_card(history, look, width, height // 4, ["results.json"], Path("run")).plain
    yield from (guide(history, name, look, width, replay=plain).plain for name in VIEWS)
    # A choice that depends on nothing but the history.
    number = len(history.epochs) + width
    view = View(log_y=not plain, x_axis=axis, recent=not plain, cursor=None if plain else 2, layer=1,
                unit=None if plain else 0, quantity=QUANTITIES[number % len(QUANTITIES)],
                sort=SORTS[number % len(SORTS)], page=number % 3)  # fmt: skip
    for groups in (CHARTS, LAYERS, FLOW, WHY, EXPLAIN):
        for kind in (kind for kinds in groups.values() for kind in kinds):
            drawn = kind.draw(history, view, look, width // 2, height // 2).text.plain
            assert drawn.count("\n") < max(1, height // 2), f"{kind.name} takes more lines than there are"
            yield drawn


def views(history: History, rng: random.Random) -> Iterator[str]:
    """Yield what is shown at a size, in a look and along an axis that are drawn by chance."""
    return render(history, rng.choice(LOOKS), rng.choice(SIZES), rng.choice(AXES))


def check_shown(texts: Iterator[str]) -> None:
    """Raise AssertionError if a text has a control character other than the end of a line."""
    for text in texts:
        found = _UNSAFE.search(text)
        assert found is None, f"{found[0]!r} would be shown"


def played(path: str) -> tuple[History, Playback]:
    """Return the history that the app makes of a file or folder."""
    playback, history = Playback(path), History()
    while events := playback.poll():
        for event in events:
            history.apply(event)
    return history, playback


@dataclass
class Reader:
    """One that reads files, and what it is fed with."""

    name: str
    share: int
    """Of the inputs, among the shares of all."""
    corpus: list[bytes]
    mutations: tuple[Callable[[bytes, random.Random], bytes], ...]
    read: Callable[[bytes], bool]
    """Read an input; return whether it was accepted."""
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    worst: float = 0.0
    own: tuple[type[BaseException], ...] = field(default=(BntuiError,))

    def make(self, rng: random.Random) -> bytes:
        """Return an input."""
        raw = rng.choice(self.corpus)
        for _ in range(1 if rng.random() < 0.9 else 2):
            try:
                raw = rng.choice(self.mutations)(raw, rng)
            except Exception:  # what an earlier change left may not be of its form any more
                raw = mutate_bytes(raw, rng)
        return raw


class Readers:
    """All readers of bntui, over files made by a short run in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = RunConfig(
            data="synthetic", train_samples=200, validation_samples=50, epochs=3, hidden=(8, 8), probe=("gap",),
            probe_every=5, checkpoint_seconds=0.0, intervene="4:dropout=0.2,7:batch_size=16",
            run_dir=str(folder / "run"), headless=True, threads=1, device="cpu",
        )  # fmt: skip
        history = History()
        recorder = Recorder(self.config, history)
        from bntui.storage.schedule import scheduled

        finished = session.run(self.config, recorder.take, Control(scheduled(self.config)), recorder)
        recorder.take(finished)
        recorder.write_results()
        recorder.close()
        run = folder / "run"
        self.results, self.journal, self.config_json, self.checkpoint = (
            (run / name).read_bytes() for name in ("results.json", "journal.jsonl", "config.json", "checkpoint.pt")
        )
        self.dataset = resident.load(self.config, torch.device("cpu"), lambda *_: None, lambda _: None)
        self.state, self.kept = checkpoint.unpack(self.checkpoint)
        self.series = history.steps.state_dict()

    def all(self) -> list[Reader]:
        """Return the readers."""
        lines = self.journal.splitlines()
        images = b"\x00\x00\x08\x03\x00\x00\x00\x03" + b"\x00\x00\x00\x1c" * 2 + bytes(3 * 784)
        labels = b"\x00\x00\x08\x01\x00\x00\x00\x03\x01\x02\x03"
        toml = (
            b'epochs = 3\nlr = 0.1\nhidden = [8, 8]\narms = "batch,none"\ndata-dir = "x"\nbinary = true\n'
            b'[keys]\npause = "p"'
        )
        csv = b"a,b\n1,2\n3,4.5\n-1e3,0\n"
        as_json = (mutate_json, mutate_json, mutate_bytes)
        return [
            Reader("read_results", 14, [self.results], as_json, self._results),
            Reader("read_interventions", 12, [self.results, self._interventions()], as_json, self._replayed),
            Reader("Playback, file", 5, [self.results], as_json, self._playback_file),
            Reader("Playback, folder", 7, [self.journal], (mutate_journal, mutate_journal, mutate_bytes), self._folder),
            Reader("views of a file", 1, [self.results], (mutate_json,), self._views_of_file),
            Reader("views of a folder", 2, [self.journal], (mutate_journal,), self._views_of_folder),
            Reader("read_events", 5, [self.journal], (mutate_journal, mutate_bytes), self._events),
            Reader("from_dict", 14, lines, (mutate_json,), self._from_dict, own=(ValueError,)),
            Reader("Series", 4, [json.dumps(self.series).encode()], (mutate_json,), self._series),
            Reader("unpack", 8, [self.checkpoint], (mutate_tensors, mutate_bytes), self._unpack,
                   own=(checkpoint.DamagedError,)),
            Reader("checkpoint.restore", 3, [b""], (self._hostile_seed,), self._restore,
                   own=(BntuiError, checkpoint.DamagedError)),
            Reader("Recorder.restore", 2, [b""], (self._hostile_seed,), self._recorder,
                   own=(BntuiError, KeyError, TypeError, ValueError, AttributeError, OverflowError)),
            Reader("resumed_config", 6, [self.config_json], as_json, self._resumed),
            Reader("IDX", 5, [images, labels], (mutate_bytes,), lambda raw: self._idx(raw, "")),
            Reader("IDX, gzipped", 4, [gzip.compress(images), gzip.compress(labels)], (mutate_gzip,),
                   lambda raw: self._idx(raw, ".gz")),
            Reader("TOML", 5, [toml], (mutate_text, mutate_bytes), self._toml),
            Reader("CSV", 4, [csv], (mutate_text, mutate_bytes), self._csv),
        ]  # fmt: skip

    def _put(self, name: str, raw: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(raw)
        return str(path)

    @staticmethod
    def _interventions() -> bytes:
        changes: list[tuple[str, Any]] = [("learning_rate", 0.1), ("bn", False), ("shift", "noise:0.5")]
        changes += [("restart_arm", "batch"), ("stop", None)]
        rows = [{"step": i, "action": action, "from": None, "to": to} for i, (action, to) in enumerate(changes)]
        return json.dumps({"schema": "bntui.results/2", "interventions": rows}).encode()

    def _results(self, raw: bytes) -> bool:
        return bool(read_results(self._put("r.json", raw), "x"))

    def _replayed(self, raw: bytes) -> bool:
        return read_interventions(self._put("r.json", raw)) is not None

    def _playback_file(self, raw: bytes) -> bool:
        return played(self._put("p.json", raw)) is not None

    def _folder(self, raw: bytes) -> bool:
        history, playback = played(str(Path(self._put("play/journal.jsonl", raw)).parent))
        return not playback.problem and history.started is not None

    def _views_of_file(self, raw: bytes) -> bool:
        check_shown(views(played(self._put("p.json", raw))[0], random.Random(len(raw))))
        return True

    def _views_of_folder(self, raw: bytes) -> bool:
        history, playback = played(str(Path(self._put("play/journal.jsonl", raw)).parent))
        check_shown(views(history, random.Random(len(raw))))
        return not playback.problem and history.started is not None

    def _events(self, raw: bytes) -> bool:
        return bool(list(read_events(io.BytesIO(raw))))

    def _from_dict(self, raw: bytes) -> bool:
        try:
            value = json.loads(raw)
        except RecursionError:
            return False
        event = from_dict(value) if isinstance(value, dict) else None
        if event is not None:
            json.dumps(to_dict(event), allow_nan=False)
        return event is not None

    def _series(self, raw: bytes) -> bool:
        try:
            series = Series(list(self.series["means"]["loss"]))
            series.load_state_dict(json.loads(raw))
            series.points()
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            # What it says it raises; the caller of Recorder.restore makes a damaged checkpoint of them.
            return False
        return True

    def _unpack(self, raw: bytes) -> bool:
        return checkpoint.unpack(raw) is not None

    @staticmethod
    def _hostile_seed(_: bytes, rng: random.Random) -> bytes:
        """Return where the changes of a state begin: with tensors in it, it is no JSON."""
        return str(rng.randrange(2**62)).encode()

    def _restore(self, raw: bytes) -> bool:
        rng = random.Random(int(raw or b"0"))
        changed = mutate_state(self.state, rng) if raw else self.state
        config = RunConfig(**{**self.config.to_dict(), "resume": str(self.folder / "run")})
        trained = session.Session(config, self.dataset, torch.device("cpu"), lambda _: None, Control())
        trained.autosave._restore(changed)
        progress = trained.progress
        progress.plan()
        left = progress.last_step - progress.step
        # Whatever is left to do must come to an end: each round through the epochs takes a step.
        assert left <= 0 or progress.epoch_end >= progress.step, "training would not end"
        if 0 < left <= 40 and raw:
            trained.train()
        return True

    def _recorder(self, raw: bytes) -> bool:
        rng = random.Random(int(raw or b"0"))
        kept = mutate_state(self.kept, rng) if raw else self.kept
        folder = self.folder / "resumed"
        self._put(
            "resumed/journal.jsonl", mutate_journal(self.journal, rng) if raw and rng.random() < 0.3 else self.journal
        )
        recorder = Recorder(RunConfig(**{**self.config.to_dict(), "resume": str(folder), "run_dir": None}), History())
        try:
            recorder.restore(kept)
            recorder.take(e.Stepped(30, 1, dict.fromkeys(self.series["means"], (1.0,)), 1.0))
            recorder.take(e.Finished("completed", 30, dict.fromkeys(self.series["means"], ""), 1.0))
            recorder.write_results()
        finally:
            recorder.close()
        return True

    def _resumed(self, raw: bytes) -> bool:
        folder = str(Path(self._put("resume/config.json", raw)).parent)
        config = resumed_config({"resume": folder})
        assert (config.export, config.run_dir, config.resume) == (None, folder, folder)
        return True

    def _idx(self, raw: bytes, ending: str) -> bool:
        dimensions = 1 if len(raw) % 2 else 3
        return idx.read_idx(Path(self._put(f"images{ending}", raw)), dimensions) is not None

    def _toml(self, raw: bytes) -> bool:
        return read_config_file(self._put("c.toml", raw)) is not None

    def _csv(self, raw: bytes) -> bool:
        check_shown(explain(read_batch(self._put("b.csv", raw))))
        return True


def mutate_state(value: Any, rng: random.Random) -> Any:
    """Return a copy of a state, tensors in it, with some parts replaced."""

    changed = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 4))):
        found = places(changed)
        inside, key = rng.choice(found[: rng.choice((30, len(found)))])
        if isinstance(inside[key], torch.Tensor):
            tensor = inside[key]
            inside[key] = rng.choice(
                (tensor * 0, tensor[:0] if tensor.dim() else tensor, tensor.double(), tensor * float("nan"), None,
                 tensor.flip(0) if tensor.dim() else tensor, torch.empty(3, dtype=torch.uint8), tensor.to("meta"))
            )  # fmt: skip
        elif rng.random() < 0.2:
            del inside[key]
        else:
            inside[key] = hostile(rng)
    return changed


def _on_alarm(_: int, __: FrameType | None) -> None:
    raise HangError


def fuzz(inputs: int, seed: int, keep: Path) -> int:
    """Feed so many inputs to the readers, print what came of them, and return the exit code."""
    rng = random.Random(seed)
    torch.set_num_threads(1)
    signal.signal(signal.SIGPROF, _on_alarm)
    with tempfile.TemporaryDirectory() as folder:
        readers = Readers(Path(folder)).all()
        for reader in readers:
            # Once as they are: what cannot be read at all would be refused for the wrong reason.
            for raw in reader.corpus:
                try:
                    reader.read(raw)
                except reader.own as error:
                    if reader.name not in ("IDX", "IDX, gzipped"):
                        raise SystemExit(f"{reader.name} refuses its own: {error}") from None
        start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (2 << 30), hard))
        begun, failed = time.perf_counter(), False
        total = sum(reader.share for reader in readers)
        failures: dict[str, int] = {}
        for reader in readers:
            for _ in range(-(-inputs * reader.share // total)):
                raw = reader.make(rng)
                why = _feed(reader, raw)
                grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) << 10
                if grown > MEMORY and not why:
                    why = f"memory grew by {grown >> 20} MiB"
                if why:
                    failures[why] = failures.get(why, 0) + 1
                    failed = True
                    if failures[why] == 1:
                        path = keep / f"fuzz-{reader.name.replace(', ', '-').replace(' ', '-')}-{len(failures)}.bin"
                        path.write_bytes(raw)
                        print(f"{reader.name}: {why}; input in {path}", flush=True)
                    if grown > MEMORY:
                        start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        _print_table(readers, time.perf_counter() - begun)
    for why, count in failures.items():
        print(f"{count:>6,} × {why}")
    return int(failed)


def _feed(reader: Reader, raw: bytes) -> str:
    """Feed one input; return what is wrong with what came of it."""
    begun, wall, why = time.process_time(), time.perf_counter(), ""
    # By the processor's clock: on a busy machine an input may wait.
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        accepted = reader.read(raw)
        reader.accepted += accepted
        reader.refused += not accepted
    except reader.own as error:
        reader.refused += 1
        if len(str(error)) > 1_000_000:
            why = "message of a million characters"
    except HangError:
        why = "more than two seconds"
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/bntui/" in frame.filename]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "none of bntui's"
        why = f"{type(error).__name__} at {where}: {str(error)[:80]!r}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.process_time() - begun
    reader.seconds += time.perf_counter() - wall
    reader.worst = max(reader.worst, seconds)
    return why or ("more than two seconds" if seconds > SECONDS else "")


def _print_table(readers: list[Reader], seconds: float) -> None:
    print(f"{'reader':<20}{'inputs':>9}{'accepted':>10}{'refused':>9}{'inputs/s':>10}{'longest':>11}")
    for reader in readers:
        count = reader.accepted + reader.refused
        print(
            f"{reader.name:<20}{count:>9,}{reader.accepted:>10,}{reader.refused:>9,}"
            f"{count / max(1e-9, reader.seconds):>10,.0f}{1_000 * reader.worst:>8,.0f} ms"
        )
    inputs = sum(reader.accepted + reader.refused for reader in readers)
    print(f"{'all':<20}{inputs:>9,}{'':>19}{inputs / seconds:>10,.0f}   in {seconds:,.0f} s")


def main() -> int:
    """Fuzz as the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()), help="folder for inputs that fail")
    given = parser.parse_args()
    return fuzz(given.inputs, given.seed, given.keep)


if __name__ == "__main__":
    sys.exit(main())

"""What strangers may give bntui to read: it is read or refused, in little time and memory, and nothing else happens."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import time
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import fuzz
from bntui.cli import main
from bntui.config.options import RunConfig, read_config_file
from bntui.data import idx
from bntui.errors import DataError, UsageError
from bntui.messages import events as e
from bntui.messages.control import Control
from bntui.messages.history import MAX_EPOCHS, History
from bntui.storage.event_json import from_dict
from bntui.storage.recorder import Recorder
from bntui.storage.resume import resumed_config
from bntui.storage.schedule import read_interventions
from bntui.training import checkpoint, session
from bntui.tui.plot.chart import Chart, Line, draw
from bntui.tui.sources import playback
from bntui.tui.views.status import header

NAMES = (
    "read_results", "read_interventions", "Playback, file", "Playback, folder", "views of a file", "views of a folder",
    "read_events", "from_dict", "Series", "unpack", "checkpoint.restore", "Recorder.restore",
    "resumed_config", "IDX", "IDX, gzipped", "TOML", "CSV",
)  # fmt: skip
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\x90q\x9c\x08red"


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> fuzz.Readers:
    return fuzz.Readers(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", NAMES)
def test_changed_at_random_a_file_is_read_or_refused(readers: fuzz.Readers, name: str) -> None:
    reader = next(reader for reader in readers.all() if reader.name == name)

    @settings(max_examples=10 if name.startswith("views") else 30)
    @given(st.integers(0, 2**62))
    def check(seed: int) -> None:
        raw = reader.make(random.Random(seed))
        with contextlib.suppress(*reader.own):
            reader.read(raw)

    check()


def test_every_reader_has_a_test(readers: fuzz.Readers) -> None:
    assert tuple(reader.name for reader in readers.all()) == NAMES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
)


@settings(max_examples=30)
@given(
    JSON, st.sampled_from(["config", "steps", "epochs", "normalization", "flow", "probes", "interventions", "summary"])
)
def test_any_json_in_results_is_read_or_refused(readers: fuzz.Readers, value: Any, part: str) -> None:
    raw = json.dumps({**json.loads(readers.results), part: value}).encode()
    for read in (readers._playback_file, readers._replayed):
        with contextlib.suppress(UsageError):
            read(raw)


# A journal that tells what no run does


def lines_of(readers: fuzz.Readers) -> list[dict[str, Any]]:
    return [json.loads(line) for line in readers.journal.splitlines()]


def play(folder: Path, lines: list[dict[str, Any]]) -> tuple[History, playback.Playback]:
    folder.mkdir(exist_ok=True)
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return fuzz.played(str(folder))


def check_views(history: History) -> None:
    for look in fuzz.LOOKS:
        for size in fuzz.SIZES[1:]:
            fuzz.check_shown(fuzz.render(history, look, size, "epoch"))


MISFITS: list[tuple[str, dict[str, Any]]] = [
    ("Stepped", {"losses": {"batch": [1.0] * 999, "none": [1.0]}}),
    ("Stepped", {"losses": {"batch": [], "none": []}}),
    ("Stepped", {"losses": {"batch": [1.0]}}),
    ("Stepped", {"losses": {"none": [1.0], "batch": [1.0]}}),
    ("Stepped", {"losses": {"batch": [1.0], "none": [1.0], "third": [1.0]}}),
    ("Stepped", {"accuracies": {"batch": [0.5], "none": []}}),
    ("Stepped", {"accuracies": {"none": [0.5], "batch": [0.5]}}),
    ("Stepped", {"width": 0}),
    ("Stepped", {"width": -3}),
    ("Stepped", {"step": -1}),
    ("Stepped", {"step": 10**40}),
    ("Stepped", {"seconds": None}),
    ("EpochEnded", {"train_seconds": None}),
    ("EpochEnded", {"lr": 1e308}),
    ("EpochEnded", {"epoch": -4}),
    ("NormalizationRead", {"arms": {"batch": []}}),
    ("NormalizationRead", {"arms": {}}),
    ("FlowRead", {"arms": {"batch": [], "none": []}}),
    ("FlowRead", {"arms": {}}),
    ("FlowRead", {"milliseconds": None}),
    ("Explained", {"x": [1e200, 2.0]}),
    ("Explained", {"arm": "none"}),
    ("Probed", {"milliseconds": {"gap": None}}),
    ("Planned", {"epochs": None}),
    ("Planned", {"batch_size": 0}),
    ("Intervened", {"action": "batch_size", "after": "many"}),
    ("Intervened", {"action": "dropout", "after": "0.5"}),
    ("Intervened", {"action": "bn", "after": 7}),
    ("Intervened", {"action": "restart_arm", "after": "third"}),
    ("Intervened", {"after": 10**400}),
    ("Finished", {"status": "running"}),
    ("Finished", {"state_sha256": {"third": "x"}}),
    ("Started", {"total_steps": -1}),
]


@pytest.mark.parametrize(("kind", "changes"), MISFITS, ids=[f"{kind}-{list(changes)[0]}" for kind, changes in MISFITS])
def test_an_event_that_does_not_fit_is_passed_over(
    readers: fuzz.Readers, tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    lines = lines_of(readers)
    at = next(i for i, line in enumerate(lines) if line["event"] == kind)
    changed = {**lines[at], **changes}
    history, source = play(tmp_path / "run", [*lines[:at], changed, *lines[at:]])
    assert source.problem == playback.MISFIT
    assert history.step == play(tmp_path / "other", lines)[0].step
    check_views(history)


STARTED: list[tuple[str, Any]] = [
    ("config", {"epochs": "3"}),
    ("config", {"seed": None}),
    ("config", {"dropout": "much"}),
    ("config", {"batch_size": [32]}),
    ("config", {"hidden": [8]}),
    ("dataset", {"train_samples": "many"}),
    ("dataset", {"name": 7}),
    ("environment", {"device": None}),
    ("layers", {"batch": {"norm1": 8}}),
    ("layers", {"third": {"norm1": 8, "norm2": 8}}),
    ("arms", [{"name": "batch", "label": "A", "norm": "batch"}] * 2),
    ("arms", [{"name": "batch", "label": "A", "norm": "batch"}]),
    ("arms", [{"name": "a", "label": "A", "norm": "layer"}, {"name": "b", "label": "B", "norm": "none"}]),
]


@pytest.mark.parametrize(("field", "changes"), STARTED, ids=[f"{f}-{i}" for i, (f, _) in enumerate(STARTED)])
def test_a_run_that_begins_as_none_does_is_not_shown(
    readers: fuzz.Readers, tmp_path: Path, field: str, changes: Any
) -> None:
    lines = lines_of(readers)
    at = next(i for i, line in enumerate(lines) if line["event"] == "Started")
    lines[at][field] = {**lines[at][field], **changes} if isinstance(changes, dict) else changes
    history, source = play(tmp_path / "run", lines)
    assert source.problem == playback.NO_BEGINNING
    assert history.started is None
    check_views(history)


def test_options_that_are_not_known_do_no_harm(readers: fuzz.Readers, tmp_path: Path) -> None:
    lines = lines_of(readers)
    at = next(i for i, line in enumerate(lines) if line["event"] == "Started")
    lines[at]["config"].update({"invented": [[1]], "activation": "later", "probe": None})
    history, source = play(tmp_path / "run", lines)
    assert source.problem == ""
    check_views(history)


def test_what_a_run_tells_fits(readers: fuzz.Readers, tmp_path: Path) -> None:
    history, source = play(tmp_path / "run", lines_of(readers))
    assert source.problem == ""
    assert history.status == "completed"


def test_a_bar_is_never_longer_than_its_place(readers: fuzz.Readers, tmp_path: Path) -> None:
    far = {"event": "Stepped", "step": 10**15, "width": 1, "losses": {"batch": [1.0], "none": [1.0]}, "seconds": 9.0}
    history, _ = play(tmp_path / "run", [*lines_of(readers), far])
    assert len(header(history, fuzz.LOOKS[0], 120, 0.0)) <= 130


def test_a_loss_far_above_the_others_is_drawn_at_once() -> None:
    # A run that diverges for a moment tells the same: this one needs no hostile file.
    losses = [2.0 + i % 7 / 7 for i in range(200)]
    losses[100] = 1e30
    chart = Chart("t", (Line(range(200), losses, "", "braille", "a"),), robust=True)
    begun = time.process_time()
    draw(chart, 80, 24)
    assert time.process_time() - begun < fuzz.SECONDS


def test_one_epoch_told_again_and_again_takes_no_more_memory(readers: fuzz.Readers) -> None:
    split = {"batch": e.Metrics(1.0, 0.5)}
    history = History()
    for _ in range(3 * MAX_EPOCHS):
        history.apply(e.EpochEnded(0, 10, 0.1, 1.0, 1.0, split, split))
    assert len(history.epochs) <= MAX_EPOCHS + 1


def test_lines_as_long_as_may_be_are_read_a_few_at_a_time(readers: fuzz.Readers, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "journal.jsonl").write_text((json.dumps({"event": "Notice", "message": "x" * 3_000_000}) + "\n") * 6)
    assert len(playback.Playback(str(folder)).poll()) < 6


# Results and other files


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("summary", {"steps_per_second": "0", "wall_seconds": 1, "steps": 1}),
        ("summary", {"steps_per_second": 10**400, "wall_seconds": 1, "steps": 1}),
        ("alerts", [{"step": float("inf"), "arm": "batch", "kind": "x", "message": "y"}]),
        ("state_sha256", []),
    ],
)
def test_damaged_results_are_refused(readers: fuzz.Readers, tmp_path: Path, part: str, value: object) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({**json.loads(readers.results), part: value}))
    with pytest.raises(UsageError, match="damaged"):
        playback.Playback(str(path))


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("depth", [200, 400, 700, 900, 980, 5_000, 200_000])
def test_deep_nesting_is_refused(readers: fuzz.Readers, tmp_path: Path, depth: int) -> None:
    path = tmp_path / "results.json"
    rows = '[{"step": 1, "action": "dropout", "from": 0, "to": ' + deep(depth) + "}]"
    path.write_text('{"schema": "bntui.results/2", "interventions": ' + rows + "}")
    for read in (read_interventions, playback.Playback):
        with pytest.raises(UsageError):
            read(str(path))
    with pytest.raises(UsageError):
        (tmp_path / "config.json").write_text('{"epochs": ' + deep(depth) + "}")
        resumed_config({"resume": str(tmp_path)})
    (tmp_path / "c.toml").write_text(f"hidden = {deep(depth)}")
    with pytest.raises(UsageError):
        read_config_file(str(tmp_path / "c.toml"))


def test_an_integer_beyond_all_floats_is_no_event() -> None:
    with pytest.raises(ValueError, match="smaller"):
        from_dict({"event": "Stepped", "step": 1, "width": 1, "losses": {"a": [10**400]}, "seconds": 0.0})


@pytest.mark.parametrize("option", ["epochs", "lr", "seed", "hidden", "intervene"])
def test_a_number_of_too_many_digits_is_refused(tmp_path: Path, option: str) -> None:
    (tmp_path / "c.toml").write_text(f"{option} = 0x{'f' * 9_000}")
    with pytest.raises(UsageError):
        read_config_file(str(tmp_path / "c.toml"))


def test_many_parts_of_a_name_take_no_time(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("a." * 500_000 + "a = 1")
    with pytest.raises(UsageError):
        read_config_file(str(tmp_path / "c.toml"))


def test_a_gzip_bomb_is_left_packed(tmp_path: Path) -> None:
    head = b"\x00\x00\x08\x03" + (10_000_000).to_bytes(4, "big") + b"\x00\x00\x00\x1c" * 2
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(head, 1) + gzip.compress(bytes(4 << 20)) * 60)
    tracemalloc.start()
    with pytest.raises(DataError):
        idx.read_idx(path, 3)
    assert tracemalloc.get_traced_memory()[1] < 200 << 20
    tracemalloc.stop()


# Checkpoints


class Evil:
    """Pickles as a call."""

    def __reduce__(self) -> Any:
        return __import__("os").system, ("touch /tmp/owned-by-fuzz",)


def resealed(readers: fuzz.Readers, state: dict[str, Any], **header: Any) -> bytes:
    """Return a checkpoint with the right checksum of another state, and with other things in its header."""
    whole = checkpoint.pack(state, readers.kept)
    length = int.from_bytes(whole[:8], "little")
    text = json.dumps({**json.loads(whole[8 : 8 + length]), **header}).encode()
    return len(text).to_bytes(8, "little") + text + whole[8 + length :]


LYING: dict[str, dict[str, Any]] = {
    "a tensor of more numbers than there are": {"x": {"dtype": "F32", "shape": [1 << 34], "data_offsets": [0, 4]}},
    "a tensor beyond the end": {"x": {"dtype": "F32", "shape": [1], "data_offsets": [1 << 40, (1 << 40) + 4]}},
    "a tensor on top of another": {"x": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}},
    "a tensor of no known kind": {"x": {"dtype": "P9", "shape": [1], "data_offsets": [0, 4]}},
    "no metadata": {"__metadata__": None},
    "metadata of another": {"__metadata__": {"format": "pt"}},
}


@pytest.mark.parametrize("name", LYING)
def test_a_header_that_lies_is_no_checkpoint(readers: fuzz.Readers, name: str) -> None:
    tracemalloc.start()
    with pytest.raises(checkpoint.DamagedError):
        checkpoint.unpack(resealed(readers, readers.state, **LYING[name]))
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_a_header_of_another_length_is_no_checkpoint(readers: fuzz.Readers, length: int) -> None:
    with pytest.raises(checkpoint.DamagedError):
        checkpoint.unpack(length.to_bytes(8, "little") + readers.checkpoint[8:])


def test_a_pickle_is_told_to_be_of_an_older_bntui_and_never_run(tmp_path: Path) -> None:
    buffer = BytesIO()
    torch.save({"schema": "bntui.checkpoint/1", "state": {"x": Evil()}}, buffer)
    with pytest.raises(checkpoint.OutdatedError, match="older bntui"):
        checkpoint.unpack(buffer.getvalue())
    assert not Path("/tmp/owned-by-fuzz").exists()


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("progress", {"step": -1}), ("progress", {"step": 2**70}), ("progress", {"epoch": 0}),
        ("progress", {"epoch": float("inf")}), ("progress", {"evaluated": 1_000}),
        ("progress", {"train_seconds": float("nan")}), ("source", {"position": 264}), ("source", {"position": -100}),
        ("source", {"generator": torch.zeros(5_056, dtype=torch.uint8)}), ("schedule", {"obeyed": -5}),
        ("schedule", {"planned": [[1, "export", "/tmp/x"]]}), ("schedule", {"planned": [[-1, "bn", False]]}),
        ("alerts", {"rate": [1]}), ("alerts", {"told": [["batch"]]}), ("alerts", {"recent": {}}),
        ("observer", {"batch": [torch.zeros(8), None]}), ("settings", {"batch_size": 201}),
        ("settings", {"dropout": None}), ("engine", {"models": {}}), ("engine", {"optimizer": {}}),
        ("arms", {"generators": []}),
    ],
)  # fmt: skip
def test_a_state_that_no_run_was_in_is_refused(readers: fuzz.Readers, part: str, change: dict[str, Any]) -> None:
    state = {**readers.state, part: {**readers.state[part], **change}}
    trained = session.Session(readers.config, readers.dataset, torch.device("cpu"), lambda _: None, Control())
    with pytest.raises(checkpoint.DamagedError):
        trained.autosave._restore(state)


@pytest.mark.parametrize(
    "change",
    [
        {"journal": {"length": float("inf")}}, {"journal": {"length": -1}}, {"journal": {"width": 0}},
        {"journal": {"losses": {"batch": [1.0], "none": []}}}, {"series": {"sums": []}},
        {"series": {"width": float("inf")}}, {"series": {"pending": -1}}, {"recent": [[1]]}, {"restarts": "many"},
    ],
)  # fmt: skip
def test_what_was_kept_and_does_not_fit_is_refused(
    readers: fuzz.Readers, tmp_path: Path, change: dict[str, Any]
) -> None:
    kept = {**readers.kept}
    for name, value in change.items():
        kept[name] = {**kept[name], **value} if isinstance(value, dict) else value
    (tmp_path / "journal.jsonl").write_bytes(readers.journal)
    recorder = Recorder(RunConfig(resume=str(tmp_path)), History())
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError, OverflowError)):
        recorder.restore(kept)
    assert (recorder.history.started, recorder.history.step, recorder.restored) == (None, 0, [])
    recorder.close()


# Nothing is written but in the folder that was named


def hostile_run(folder: Path, readers: fuzz.Readers, **options: Any) -> Path:
    folder.mkdir()
    for name in ("journal.jsonl", "checkpoint.pt", "results.json"):
        (folder / name).write_bytes((readers.folder / "run" / name).read_bytes())
    (folder / "config.json").write_text(json.dumps({**json.loads(readers.config_json), **options}))
    return folder


def test_where_results_go_is_never_read_from_a_file(readers: fuzz.Readers, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    folder = hostile_run(
        tmp_path / "run", readers, run_dir=str(outside), export=str(outside), resume=str(outside), quiet=False,
        headless=False, debug=True,
    )  # fmt: skip
    config = resumed_config({"resume": str(folder), "epochs": 3, "headless": True, "quiet": True})
    assert (config.run_dir, config.resume, config.export, config.debug) == (str(folder), str(folder), None, False)
    assert main(["--headless", "--quiet", "--resume", str(folder), "--epochs", "4"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize("name", ["journal.jsonl", "log.txt", "config.json", "results.json", "checkpoint.pt", ".lock"])
def test_a_link_in_a_run_folder_is_not_followed(
    readers: fuzz.Readers, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = hostile_run(tmp_path / "run", readers)
    target = tmp_path / "precious"
    target.write_bytes((folder / name).read_bytes() if (folder / name).exists() else b"mine\n")
    before = target.read_bytes()
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(target)
    assert main(["--headless", "--resume", str(folder), "--epochs", "4"]) == 2
    assert "is a link" in capsys.readouterr().err
    assert target.read_bytes() == before


@pytest.mark.parametrize("field", ["data_dir", "replay_interventions"])
def test_a_path_of_a_file_is_only_read(
    readers: fuzz.Readers, tmp_path: Path, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / f"x{ESCAPES}"
    folder = hostile_run(tmp_path / "run", readers, data=None, **{field: str(place)})
    assert main(["--headless", "--resume", str(folder)]) in (2, 3)
    told = capsys.readouterr()
    assert fuzz._UNSAFE.search(told.err + told.out) is None
    assert not place.exists()


def test_a_name_that_no_file_can_have_is_refused(readers: fuzz.Readers, tmp_path: Path) -> None:
    folder = hostile_run(tmp_path / "run", readers, data_dir="\ud800")
    with pytest.raises(UsageError, match="damaged"):
        resumed_config({"resume": str(folder)})


# Nothing of a file acts on the terminal


NEEDED = ("event", "action", "norm", "name", "arm", "layers", "shift", "bn_eval", "status", "losses", "train",
          "validation", "state_sha256")  # fmt: skip


def spoil(value: Any, kept: tuple[str, ...] = NEEDED) -> Any:
    """Return a value with escape sequences in each text and key that is not needed to be read at all."""
    if isinstance(value, dict):
        return {key: item if key in kept else spoil(item) for key, item in value.items()}
    if isinstance(value, list):
        return [spoil(item) for item in value]
    return value + ESCAPES if isinstance(value, str) else value


def test_no_escape_sequence_of_a_journal_is_shown(readers: fuzz.Readers, tmp_path: Path) -> None:
    lines = [spoil(line) for line in lines_of(readers)]
    start = next(i for i, line in enumerate(lines) if line["event"] == "Started")
    lines[start]["layers"] = {"batch": {f"norm{i}{ESCAPES}": 8 for i in (1, 2)}}
    lines[start]["config"]["arms"] = ["batch", "none"]
    lines[start]["environment"]["device"] = f"cuda{ESCAPES}"
    lines[start + 1 : start + 1] = [
        {"event": "Alert", "step": 1, "arm": "batch", "kind": ESCAPES, "message": ESCAPES},
        {"event": "Notice", "message": ESCAPES},
        {"event": "Intervened", "step": 1, "epoch": 1, "action": ESCAPES, "before": ESCAPES, "after": ESCAPES},
    ]
    for end in (start, len(lines)):
        history, source = play(tmp_path / "run", [{"event": "Loading", "what": ESCAPES}, *lines[:end]])
        assert source.problem == ""
        check_views(history)
        for text in (*history.notices, *(row.action for row in history.interventions), *history.labels.values()):
            assert fuzz._UNSAFE.search(text) is None


@pytest.mark.parametrize("option", ["arms", "shift", "bn_eval", "lr", "hidden", "epochs", "seed"])
def test_no_escape_sequence_takes_the_place_of_an_option(readers: fuzz.Readers, tmp_path: Path, option: str) -> None:
    lines = lines_of(readers)
    at = next(i for i, line in enumerate(lines) if line["event"] == "Started")
    lines[at]["config"][option] = ESCAPES
    history, _ = play(tmp_path / "run", lines)
    assert history.started is None
    check_views(history)


def test_no_escape_sequence_of_results_is_shown(readers: fuzz.Readers, tmp_path: Path) -> None:
    results = spoil(json.loads(readers.results), ("schema", "status", "config", "state_sha256", "action", "shift"))
    results["alerts"] = [{"step": 1, "arm": "batch", "kind": ESCAPES, "message": ESCAPES}]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    check_views(fuzz.played(str(path))[0])


def test_no_escape_sequence_of_a_resumed_run_is_kept(readers: fuzz.Readers, tmp_path: Path) -> None:
    alert = json.dumps({"event": "Alert", "step": 1, "arm": "batch", "kind": "x", "message": ESCAPES}).encode() + b"\n"
    journal = readers.journal[: readers.kept["journal"]["length"]] + alert
    (tmp_path / "journal.jsonl").write_bytes(journal)
    history = History()
    recorder = Recorder(RunConfig(resume=str(tmp_path)), history)
    recorder.restore({**readers.kept, "journal": {**readers.kept["journal"], "length": len(journal)}})
    recorder.close()
    assert [fuzz._UNSAFE.search(row.message) for row in history.alerts] == [None] * len(history.alerts) != []

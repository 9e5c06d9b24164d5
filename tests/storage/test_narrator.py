"""Where sentences go: files, FIFOs, stdout; whoever reads them can't hold the training up."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bntui.config.options import RunConfig, build_config
from bntui.errors import ExportError, UsageError
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.messages.history import History
from bntui.storage import files, narrator
from bntui.storage.narrator import WAITING_LIMIT, Narrator, check_not_the_screen
from bntui.storage.recorder import Recorder
from bntui.storage.resume import resumed_config
from bntui.training import session
from scripted_app import run_events, started

BNTUI = [sys.executable, "-m", "bntui"]
SMALL = ["--headless", "--data", "synthetic", "--train-samples", "640", "--validation-samples", "100", "--epochs", "2"]


def narrate(target: object, events: list[e.Event], **options: Any) -> Narrator:
    history = History()
    to = Narrator(str(target), history, **options)
    for event in events:
        history.apply(event)
        to.take(event)
    return to


def notices(count: int) -> list[e.Event]:
    return [started(), *(e.Notice(f"this is number {number} of many sentences") for number in range(count))]


def test_a_new_run_takes_the_place_of_a_file_and_one_that_goes_on_is_appended(tmp_path: Path) -> None:
    file = tmp_path / "said.txt"
    file.write_text("of another run\n")
    to = narrate(file, [])
    assert file.read_text() == "of another run\n", "nothing was said yet"
    to.close()
    narrate(file, run_events(2)).saved(["/a/run", "/b.json"])
    lines = file.read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["A", "Epoch", "Epoch", "The"]
    assert lines[-1] == "The results are in /a/run and in /b.json."
    history = History()
    history.apply(started())
    Narrator(str(file), history, goes_on=True).take(e.Continued(200, started().config))
    assert file.read_text().splitlines() == [*lines, "The run goes on after step 200, in epoch 3 of 5."]


def test_a_link_is_followed_and_the_file_has_the_mode_of_other_programs(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "said.txt")
    narrate(tmp_path / "link", run_events(1)).close()
    assert (tmp_path / "said.txt").read_text().startswith("A run begins: ")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "said.txt").stat().st_mode & 0o777 == 0o666 & ~umask


def test_what_is_said_in_a_fifo_that_nobody_reads_waits_there_and_the_rest_is_left_out(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    events = notices(5_000)
    history = History()
    to = Narrator(str(fifo), history)
    # Were it to wait for a reader, this would never end.
    for event in events:
        history.apply(event)
        to.take(event)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    said = b""
    for _ in range(3):
        while True:
            try:
                said += os.read(reader, 1 << 20)
            except BlockingIOError:
                break
        to.take(e.Notice("somebody listens now"))
    to.close()
    said += os.read(reader, 1 << 20)
    os.close(reader)
    lines = said.decode().splitlines()
    heard = [line for line in lines if " is number " in line]
    assert heard == [f"Note: this is number {i} of many sentences." for i in range(len(heard))]
    left_out = next(line for line in lines if line.startswith("Sentences left out here: "))
    assert int(left_out.split()[-1].rstrip(".").replace(",", "")) == 5_000 - len(heard)
    assert lines[-1] == "Note: somebody listens now."
    assert sum(map(len, heard)) > WAITING_LIMIT


def test_a_reader_who_leaves_and_comes_back_hears_on(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    history = History()
    to = Narrator(str(fifo), history)
    for word in ("one", "two"):
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        to.take(e.Notice(word))
        assert os.read(reader, 1_000) == f"Note: {word}.\n".encode()
        os.close(reader)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is a folder; name a file in it"),
        ("none/said.txt", "the folder .* does not exist; make it first"),
        ("file/said.txt", "is not one; name another"),
    ],
)
def test_what_cant_be_written_is_told_before_training(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match=f"--narrate .*{says}"):
        Recorder(RunConfig(narrate=str(tmp_path / name), run_dir=str(tmp_path / "run")), History())


def test_a_full_disk_is_told_once_and_what_was_to_be_said_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, write = [True], os.write

    def fails(descriptor: int, data: bytes) -> int:
        if full[0] and os.fstat(descriptor).st_ino == (tmp_path / "said.txt").stat().st_ino:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr(files.disk, "write", fails)
    recorder = Recorder(RunConfig(narrate=str(tmp_path / "said.txt"), run_dir=str(tmp_path / "run")), History())
    problems = []
    for event in run_events(2):
        recorder.take(event)
        problems.append(recorder.problem)
    assert set(problems) == {"the narration can't be written (No space left on device); training goes on"}
    full[0] = False
    recorder.take(e.Notice("there is room again"))
    assert recorder.problem == ""
    recorder.close()
    lines = (tmp_path / "said.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "A run begins", "Warning", "Epoch 1 of 5", "Epoch 2 of 5", "Note",
    ]  # fmt: skip


def test_what_cant_be_written_elsewhere_is_said(tmp_path: Path) -> None:
    to = narrate(tmp_path / "said.txt", [started()])
    for _ in range(2):
        to.take(e.Stepped(1, 1, {}, 1.0), "checkpoint can't be written (100 % full); training goes on")
    assert (tmp_path / "said.txt").read_text().splitlines()[1:] == [
        "Warning: checkpoint can't be written (100 percent full); training goes on."
    ]


def test_stdout_carries_results_or_sentences(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stdout carries the results of --export -; name a file for one"):
        build_config({"narrate": "-", "export": "-"})
    config = build_config({"narrate": "said.txt"})
    assert config.narrate == str(Path.cwd() / "said.txt")
    assert "narrate" not in config.to_command()


def test_the_app_keeps_its_own_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_not_the_screen(None)
    check_not_the_screen(str(tmp_path / "said.txt"))
    with pytest.raises(UsageError, match="--narrate -: the app draws on stdout; name a file, a FIFO, or another"):
        check_not_the_screen("-")
    master, slave = os.openpty()
    other_master, other = os.openpty()
    fstat = os.fstat
    monkeypatch.setattr(narrator.os, "fstat", lambda fd: fstat(slave if fd < 3 else fd))
    monkeypatch.setattr(narrator.os, "isatty", lambda fd: True)
    for name in (os.ttyname(slave), "/dev/tty"):
        with pytest.raises(UsageError, match="the app draws on that terminal"):
            check_not_the_screen(name)
    check_not_the_screen(os.ttyname(other))
    for fd in (master, slave, other_master, other):
        os.close(fd)


def test_a_stopped_run_that_goes_on_is_narrated_in_one_file(tmp_path: Path) -> None:
    file, folder = tmp_path / "said.txt", str(tmp_path / "run")
    options: dict[str, Any] = {"data": "synthetic", "train_samples": 320, "validation_samples": 50, "epochs": 2}
    config = RunConfig(**options, run_dir=folder, narrate=str(file), device="cpu")
    first = Recorder(config, History())
    session.run(config, first.take, c.Control([(7, c.Stop())]), first)
    first.write_results()
    first.close()
    config = resumed_config({"resume": folder, "narrate": str(file)})
    second = Recorder(config, History())
    session.run(config, second.take, c.Control([]), second)
    second.write_results()
    second.close()
    lines = file.read_text().splitlines()
    begins = [" ".join(line.split()[:4]) for line in lines]
    assert begins.count("A run begins: With") == 1
    assert "The run was stopped" in begins and "The run goes on" in begins
    assert begins.index("The run was stopped") < begins.index("The run goes on") < begins.index("Epoch 2 of 2:")
    assert lines[-1] == f"The results are in {folder}."
    assert config.narrate == str(file)


def test_headless_stdout_is_sentences_and_the_numbers_go_to_stderr(tmp_path: Path) -> None:
    plan = ["--intervene", "10:learning_rate=0.005,30:bn=off", "--run-dir", str(tmp_path / "run")]
    done = subprocess.run([*BNTUI, *SMALL, *plan, "--narrate", "-"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    said = done.stdout.splitlines()
    assert said[0] == (
        "A run begins: With BN and Without BN train on synthetic, 640 samples, for 2 epochs, 40 steps in all."
    )
    assert "At step 10 the learning rate went from 0.01 to 0.005." in said
    assert "At step 30 BN was switched off." in said
    assert sum(line.startswith("Epoch ") for line in said) == 2
    assert said[-2].startswith("The run is complete after 40 steps: With BN has ")
    assert said[-1] == f"The results are in {tmp_path / 'run'}."
    assert done.stdout.isascii() and "epoch  set" in done.stderr


def test_a_run_in_a_process_waits_for_no_reader_and_outlives_one(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    done = subprocess.run([*BNTUI, *SMALL, "--narrate", str(fifo)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    command = " ".join([*BNTUI, *SMALL, "--quiet", "--narrate", "-"])
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -1; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines()[1:] == ["0"]

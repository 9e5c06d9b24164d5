"""The program as people call it: whole processes, pipes, terminals and signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pexpect
import pytest

from bntui.storage import results

BNTUI = [sys.executable, "-m", "bntui"]
SMALL = ["--headless", "--data", "synthetic", "--train-samples", "1000", "--validation-samples", "200"]


def bntui(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BNTUI, *arguments], capture_output=True, text=True, timeout=300, **options)


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    jsonschema.validate(loaded, results.schema())
    return loaded


def test_lines_exit_code_and_a_valid_export(tmp_path: Path) -> None:
    done = bntui(*SMALL, "--epochs", "2", "--export", str(tmp_path / "results.json"))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"bntui [\d.]+: synthetic 1,000/200, cpu \(.+\), seed 1, 62 steps of 32 samples", lines[0])
    assert lines[1] == "epoch  set         batch loss  accuracy  none loss  accuracy"
    metrics = r" +\d\.\d{5} +\d\.\d{4} +\d\.\d{5} +\d\.\d{4}"
    for line, (epoch, split) in zip(
        lines[2:6], [(1, "train     "), (1, "validation"), (2, "train     "), (2, "validation")], strict=True
    ):
        assert re.fullmatch(rf"  {epoch}/2  {split}  {metrics}", line)
    exported = read(tmp_path / "results.json")
    assert exported["status"] == "completed"
    last = exported["epochs"][-1]["validation"]
    numbers = [value for arm in ("batch", "none") for value in last[arm].values()]
    assert [float(word) for word in lines[5].split()[2:]] == [
        round(value, places) for value, places in zip(numbers, (5, 4, 5, 4), strict=True)
    ]
    folder = Path(next(line for line in lines if line.startswith("run folder: ")).removeprefix("run folder: "))
    assert read(folder / "results.json") == exported
    assert (folder / "log.txt").read_text().splitlines() == lines


def test_two_processes_give_the_same_numbers(tmp_path: Path) -> None:
    runs = []
    for name in ("a", "b"):
        assert bntui(*SMALL, "--epochs", "2", "--quiet", "--export", str(tmp_path / name)).returncode == 0
        runs.append(read(tmp_path / name))
    for part in ("dataset", "steps", "normalization", "state_sha256"):
        assert runs[0][part] == runs[1][part]
    for first, second in zip(runs[0]["epochs"], runs[1]["epochs"], strict=True):
        assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_the_command_in_the_results_runs_the_same_again(tmp_path: Path) -> None:
    bntui(*SMALL, "--hidden", "16", "--lr", "0.005", "--epochs", "1", "--export", str(tmp_path / "a"), check=True)
    first = read(tmp_path / "a")
    command = first["config"]["command"].split()
    assert command[0] == "bntui"
    bntui(*command[1:], "--export", str(tmp_path / "b"), check=True)
    assert read(tmp_path / "b")["state_sha256"] == first["state_sha256"]


def test_behind_a_long_path_the_reason_is_still_told() -> None:
    path = "/".join(["", "tmp", *["long" * 50] * 12, "out.json"])
    done = bntui(*SMALL, "--export", path)
    assert done.returncode == 5
    assert done.stderr.startswith("bntui: error: --export /tmp/longlong")
    assert done.stderr.endswith("long does not exist; make it first\n")
    assert len(done.stderr) < 700


def test_quiet_prints_nothing() -> None:
    done = bntui(*SMALL, "--epochs", "1", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_export_to_stdout_is_json_alone() -> None:
    done = bntui(*SMALL, "--epochs", "1", "--export", "-")
    assert done.returncode == 0
    jsonschema.validate(json.loads(done.stdout), results.schema())
    assert "1/1  validation " in done.stderr


def test_a_reader_that_goes_away_does_not_stop_the_run(tmp_path: Path) -> None:
    line = " ".join([*BNTUI, *SMALL, "--epochs", "3", "--export", str(tmp_path / "out")])
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {line} | head -1"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert read(tmp_path / "out")["status"] == "completed"


def test_without_mnist_and_network_generated_digits_are_used_with_a_notice(tmp_path: Path) -> None:
    # A proxy that refuses every connection stands for the missing network.
    env = {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    small = ["--train-samples", "320", "--validation-samples", "50", "--epochs", "1"]
    done = bntui("--headless", *small, "--export", str(tmp_path / "out"), env=env)
    assert done.returncode == 0
    assert re.fullmatch(
        r"bntui: notice: mnist .*Training on generated digits instead \(--data synthetic\)\n", done.stderr
    )
    assert read(tmp_path / "out")["dataset"]["name"] == "synthetic"
    asked = bntui("--headless", "--data", "mnist", env=env)
    assert asked.returncode == 3
    assert re.fullmatch(r"bntui: error: mnist .*\n", asked.stderr)


def test_real_data(fashion_mnist: Path, tmp_path: Path) -> None:
    arguments = ["--headless", "--data", "fashion-mnist", "--data-dir", str(fashion_mnist), "--epochs", "2"]
    done = bntui(*arguments, "--export", str(tmp_path / "results.json"))
    assert done.returncode == 0
    exported = read(tmp_path / "results.json")
    assert exported["dataset"]["sha256"] == "ca3ab2a37f845e1b8ae23cab1b51749a3011ba3bf1d9016176d75cbaabac376f"
    assert [row["step"] for row in exported["epochs"]] == [1875, 3750]
    final = exported["summary"]["final"]
    assert final["batch"]["validation"]["accuracy"] > final["none"]["validation"]["accuracy"] > 0.8


def test_recorded_interventions_are_replayed_to_the_same_hashes(tmp_path: Path) -> None:
    # The file of interventions comes from an edited export: the first run here is itself a replay of it.
    bntui(*SMALL, "--epochs", "1", "--export", str(tmp_path / "plain"), check=True)
    edited = read(tmp_path / "plain")
    edited["interventions"] = [
        {"step": 5, "epoch": 1, "action": "learning_rate", "from": 0.01, "to": 0.03},
        {"step": 9, "epoch": 1, "action": "bn", "from": True, "to": False},
        {"step": 9, "epoch": 1, "action": "pause", "from": False, "to": True},
        {"step": 20, "epoch": 1, "action": "bn", "from": False, "to": True},
        {"step": 25, "epoch": 1, "action": "freeze", "from": False, "to": True},
    ]
    (tmp_path / "edited").write_text(json.dumps(edited))
    folder = str(tmp_path / "run")
    replay = ["--epochs", "1", "--replay-interventions"]
    bntui(*SMALL, *replay, str(tmp_path / "edited"), "--run-dir", folder, check=True)
    bntui(*SMALL, *replay, folder, "--export", str(tmp_path / "again"), check=True)
    first, again = read(tmp_path / "run" / "results.json"), read(tmp_path / "again")
    assert again["interventions"] == first["interventions"]
    assert [row["action"] for row in again["interventions"]] == ["learning_rate", "bn", "bn", "freeze"]
    assert again["state_sha256"] == first["state_sha256"] != read(tmp_path / "plain")["state_sha256"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda v: str(int(v))
)
def test_a_signal_stops_saves_and_exports(tmp_path: Path, number: signal.Signals, code: int) -> None:
    arguments = [*BNTUI, *SMALL, "--epochs", "100000", "--export", str(tmp_path / "out")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not re.match(r" *2/", process.stdout.readline()):
            pass
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, "")
    exported = read(tmp_path / "out")
    assert exported["status"] == "interrupted"
    assert exported["interventions"][-1]["action"] == "stop"
    steps = exported["summary"]["steps"]
    assert f"stopped after step {steps:,} of 3,100,000" in out
    # What was trained until then is what a run of so many steps gives.
    bntui(*SMALL, "--epochs", "100000", "--max-steps", str(steps), "--export", str(tmp_path / "same"), check=True)
    assert read(tmp_path / "same")["state_sha256"] == exported["state_sha256"]


def test_the_end_and_the_bar_count_the_steps_that_are_planned_now(tmp_path: Path) -> None:
    """31 steps of 32 samples, of which after the fifth 13 of 64 are left; it stops after the tenth."""
    bntui(*SMALL, "--epochs", "1", "--export", str(tmp_path / "plain"), check=True)
    edited = read(tmp_path / "plain")
    edited["interventions"] = [
        {"step": 5, "epoch": 1, "action": "batch_size", "from": 32, "to": 64},
        {"step": 10, "epoch": 1, "action": "stop", "from": None, "to": None},
    ]
    (tmp_path / "edited").write_text(json.dumps(edited))
    arguments = [*SMALL, "--epochs", "1", "--replay-interventions", str(tmp_path / "edited")]
    assert "stopped after step 10 of 18\n" in bntui(*arguments, check=True).stdout
    child = pexpect.spawn(sys.executable, ["-m", "bntui", *arguments], encoding="utf-8", timeout=60)
    child.expect(pexpect.EOF)
    child.close()
    assert re.search(r"\b\d+/18 steps", child.before)
    assert not re.search(r"\b(?:[6-9]|10)/31 steps", child.before)


def test_an_error_of_the_system_is_no_failed_write_and_what_was_trained_is_saved(tmp_path: Path) -> None:
    """As where a library that torch loads late is missing."""
    code = (
        "import sys\n"
        "from bntui.training.fused.engine import FusedEngine\n"
        "train, steps = FusedEngine.forward_backward, []\n"
        "def fail(self, x, y):\n"
        "    steps.append(1)\n"
        "    if len(steps) > 7: raise OSError('libcudnn.so.9: cannot open shared object file')\n"
        "    return train(self, x, y)\n"
        "FusedEngine.forward_backward = fail\n"
        "from bntui.cli import main\n"
        f"sys.exit(main({[*SMALL, '--quiet', '--export', str(tmp_path / 'out')]!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"bntui: error: unexpected OSError: libcudnn.so.9: cannot open.*\n", done.stderr)
    assert (read(tmp_path / "out")["status"], read(tmp_path / "out")["summary"]["steps"]) == ("failed", 7)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("sys.modules['platformdirs'] = None", "the Python package platformdirs is not installed.*pip install"),
        ("sys.modules['torch'] = None", "the Python package torch is not installed.*pip install torch"),
        (
            "import types; sys.meta_path.insert(0, types.SimpleNamespace(find_spec=lambda name, *_: "
            "(_ for _ in ()).throw(OSError('libtorch.so is missing')) if name == 'torch' else None))",
            r"torch can't be imported \(libtorch.so is missing\); install a torch that fits",
        ),
    ],
)
def test_a_package_that_is_missing_or_broken_is_named(broken: str, says: str) -> None:
    code = f"import sys\n{broken}\nfrom bntui.cli import main\nsys.exit(main({SMALL!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"bntui: error: {says}.*\n", done.stderr), done.stderr


@pytest.mark.parametrize("arguments", [["explain"], ["experiment", "--list"], ["--preset", "list"], ["--help"]])
def test_a_reader_that_goes_away_ends_an_answer_without_a_word(arguments: list[str]) -> None:
    source, sink = os.pipe()
    os.close(source)
    try:
        done = subprocess.run([*BNTUI, *arguments], stdout=sink, stderr=subprocess.PIPE, text=True, timeout=60)
    finally:
        os.close(sink)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_a_signal_while_digits_are_generated_says_that_there_is_nothing_to_save(tmp_path: Path) -> None:
    arguments = ["--headless", "--data", "synthetic", "--train-samples", "3000000", "--export", str(tmp_path / "out")]
    child = pexpect.spawn(sys.executable, ["-m", "bntui", *arguments], encoding="utf-8", timeout=120)
    child.expect("generating digits")
    child.sendintr()
    child.expect("stopped before training began: there is nothing to save")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert not (tmp_path / "out").exists()


def test_a_terminal_that_goes_away_leaves_saved_results(tmp_path: Path) -> None:
    arguments = ["-m", "bntui", *SMALL, "--epochs", "100000", "--export", str(tmp_path / "out")]
    child = pexpect.spawn(sys.executable, arguments, encoding="utf-8", timeout=120)
    child.expect(" 2/100000 ")
    os.close(child.child_fd)  # the kernel sends SIGHUP, and every write fails from now on
    child.closed = True
    _, status = os.waitpid(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    assert read(tmp_path / "out")["status"] == "interrupted"


def test_a_terminal_that_goes_away_is_done_without_if_asked_for(tmp_path: Path) -> None:
    arguments = [*SMALL, "--epochs", "60", "--on-hangup", "continue", "--export", str(tmp_path / "out")]
    child = pexpect.spawn(sys.executable, ["-m", "bntui", *arguments], encoding="utf-8", timeout=120)
    child.expect(" 2/60 ")
    os.close(child.child_fd)
    child.closed = True
    _, status = os.waitpid(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    results = read(tmp_path / "out")
    assert (results["status"], results["epochs"][-1]["epoch"]) == ("completed", 60)


@pytest.mark.parametrize("evaluating", [False, True])
def test_a_signal_of_ones_own_choice_stops_and_saves(tmp_path: Path, evaluating: bool) -> None:
    # One step an epoch: nearly all of the time goes into evaluation.
    slow = ["--train-samples", "20000", "--batch-size", "20000"] if evaluating else []
    arguments = [
        *BNTUI,
        *SMALL,
        *slow,
        "--epochs",
        "100000",
        "--stop-signal",
        "USR1",
        "--export",
        str(tmp_path / "out"),
    ]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not re.match(r" *2/", process.stdout.readline()):
            pass
        process.send_signal(signal.SIGUSR1)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (138, "")
    assert read(tmp_path / "out")["status"] == "interrupted"


def test_what_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    arguments = ["nohup", *BNTUI, *SMALL, "--epochs", "60", "--export", str(tmp_path / "out")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not re.match(r" *2/", process.stdout.readline()):
            pass
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert read(tmp_path / "out")["status"] == "completed"


def test_a_second_interrupt_ends_at_once_and_shows_the_cursor_again() -> None:
    # A trainer in the middle of a step that never ends: the first interrupt only asks for a stop.
    code = (
        "import time\n"
        "from bntui.config.options import RunConfig\n"
        "from bntui.messages.signals import handling\n"
        "with handling(RunConfig(), lambda _: None) as caught:\n"
        "    print('training', flush=True)\n"
        "    while not caught: time.sleep(0.01)\n"
        "    print('stopping', flush=True)\n"
        "    while True: time.sleep(0.01)\n"
    )
    child = pexpect.spawn(sys.executable, ["-c", code], encoding="utf-8", timeout=60)
    child.expect("training")
    child.sendintr()
    child.expect("stopping")
    child.sendintr()
    child.expect(pexpect.EOF)
    assert "\x1b[?25h" in child.before
    child.close()
    assert child.signalstatus == 2


def test_in_a_terminal_a_bar_shows_progress_and_leaves_no_trace() -> None:
    child = pexpect.spawn(
        sys.executable, ["-m", "bntui", *SMALL, "--epochs", "60"], encoding="utf-8", timeout=120, dimensions=(24, 120)
    )
    child.expect(r"epoch \d+/60 .*steps.*loss batch \d\.\d+ none \d\.\d+")
    child.expect("60/60  validation")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["--preset", "list"], ["--lr", "x"], []])
def test_short_answers_import_neither_torch_nor_numpy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom bntui.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'torch','torchvision','numpy','rich','textual'}))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_and_version() -> None:
    assert re.fullmatch(r"bntui \d+\.\d+\.\d+\n", bntui("--version").stdout)
    shown = bntui("--help")
    assert shown.returncode == 0
    assert "exit codes: 0 finished; 2 wrong usage" in " ".join(shown.stdout.split())
    assert bntui("--preset", "list").stdout.startswith("lab ")


def test_memory_does_not_grow_with_the_number_of_steps() -> None:
    """As many events as a run of a million steps has go through history, journal and results."""
    code = Path(__file__).with_name("push_events.py")
    peaks = []
    for steps in (18_750, 1_000_000):
        done = subprocess.run([sys.executable, str(code), str(steps)], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 20 * 1024

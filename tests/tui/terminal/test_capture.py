"""The terminal kept whole: every test of `Capture` runs a process of its own in a pty."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest

ROWS, COLUMNS = 30, 100
TIMEOUT = 120

SETUP = """
import contextlib, json, os, pathlib, subprocess, sys, threading, time
from bntui.tui.terminal.capture import Capture

lines, facts = [], {}
def fds(): return sorted(os.listdir("/proc/self/fd"))
"""
WRITE_UP = """
pathlib.Path("out.json").write_text(json.dumps({"lines": lines, **facts}))
"""


def spawn(folder: Path, body: str, **options: Any) -> pexpect.spawn[bytes]:
    script = folder / "child.py"
    script.write_text(SETUP + textwrap.dedent(body) + WRITE_UP)
    unwanted = ("COLUMNS", "LINES", "NO_COLOR", "PYTHONUNBUFFERED", "LC_ALL", "LC_CTYPE")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    environment |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(Path(__file__).parents[3])}
    environment |= options.pop("env", {})
    arguments = options.pop("arguments", [str(script)])
    command = options.pop("command", sys.executable)
    return pexpect.spawn(
        command, arguments, cwd=str(folder), env=environment, dimensions=(ROWS, COLUMNS), timeout=TIMEOUT, **options
    )


def finish(child: pexpect.spawn[bytes], folder: Path) -> tuple[dict[str, Any], bytes]:
    """Wait for the process; return what it found out, and what reached the pty."""
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    return json.loads((folder / "out.json").read_text()), child.before


def run(folder: Path, body: str, **options: Any) -> tuple[dict[str, Any], bytes]:
    return finish(spawn(folder, body, **options), folder)


def test_everything_written_becomes_lines_and_nothing_reaches_the_terminal(tmp_path: Path) -> None:
    found, drawn = run(
        tmp_path,
        r"""
        import ctypes, logging, warnings
        libc = ctypes.CDLL(None)
        early = logging.StreamHandler()  # holds the stream of before
        logging.getLogger("early").addHandler(early)
        before = sys.stdout
        with Capture(lines.append):
            print("print")
            print("to stderr", file=sys.stderr)
            print("to the stream of before", file=before, flush=True)
            warnings.warn("a warning")
            logging.getLogger("late").warning("late logger")
            logging.getLogger("early").warning("early logger")
            os.write(1, b"raw 1\n")
            os.write(2, "raw 2: é, and a bad byte \xff\n".encode()[:-3] + b"\xff\n")
            subprocess.run(["sh", "-c", "echo child 1; echo child 2 >&2"], check=True)
            libc.printf(b"printf\n")
            libc.fflush(None)
            libc.printf(b"printf without a flush")
            print("lone \udce9 surrogate")
            print("a\n\nb\r\nno newline", end="")
        """,
    )
    assert drawn == b""
    assert [line for line in found["lines"] if "warn" not in line] == [
        "print",
        "to stderr",
        "to the stream of before",
        "late logger",
        "early logger",
        "raw 1",
        "raw 2: é, and a bad byte �",
        "child 1",
        "child 2",
        "printf",
        "lone \\udce9 surrogate",
        "a",
        "",
        "b\r",
        "no newlineprintf without a flush",
    ]
    assert any(line.endswith("UserWarning: a warning") for line in found["lines"])


def test_many_lines_arrive_in_order_and_no_writer_waits(tmp_path: Path) -> None:
    found, drawn = run(
        tmp_path,
        """
        got = []
        with Capture(got.append):
            for number in range(100_000):
                print(f"line {number:06d} " + 40 * "x")
            facts["held"] = True
        facts["right"] = got == [f"line {number:06d} " + 40 * "x" for number in range(100_000)]
        """,
    )
    assert found["right"]
    assert drawn == b""


def test_lines_in_several_pieces_and_a_line_without_end(tmp_path: Path) -> None:
    found, _ = run(
        tmp_path,
        """
        arrived = threading.Semaphore(0)
        with Capture(lambda line: (lines.append(line), arrived.release())):
            for byte in "ω one\\n".encode():
                os.write(1, bytes([byte]))
                time.sleep(0.01)
            os.write(1, 65_536 * b"y")
            facts["in time"] = arrived.acquire(timeout=60) and arrived.acquire(timeout=60)
            os.write(2, b"rest \\xcf")
        facts["lengths"] = [len(line) for line in lines]
        lines[1:2] = [lines[1][:1]]
        """,
    )
    assert found["in time"]
    assert found["lengths"] == [5, 65_536, 6]
    assert found["lines"] == ["ω one", "y", "rest �"]


def test_all_is_as_it_was_after_each_use(tmp_path: Path) -> None:
    found, drawn = run(
        tmp_path,
        """
        names = ("stdout", "stderr", "__stdout__", "__stderr__", "stdin", "__stdin__")
        streams = [getattr(sys, name) for name in names]
        def same(): return all(getattr(sys, name) is stream for name, stream in zip(names, streams))
        def targets(): return [os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)]
        at_first, open_at_first = targets(), fds()
        facts["same"] = []
        for use in range(3):
            with Capture(lines.append):
                facts["inside"] = targets()
                print("inside", use)
            facts["same"].append(same() and targets() == at_first and fds() == open_at_first)
        capture, inner = Capture(lines.append), []
        with capture, Capture(inner.append):
            print("innermost")
            facts["inner size"] = os.get_terminal_size(sys.__stdout__.fileno())
        facts["inner"] = inner
        facts["same"].append(same() and targets() == at_first and fds() == open_at_first)
        try:
            with capture:
                print("before the end")
                raise KeyError("mine")
        except KeyError as error:
            facts["error"] = str(error)
        facts["same"].append(same() and targets() == at_first and fds() == open_at_first)
        print("afterwards")
        """,
    )
    assert found["same"] == [True] * 5
    assert found["inside"][1].startswith("pipe:") and found["inside"][1] == found["inside"][2]
    assert found["lines"] == ["inside 0", "inside 1", "inside 2", "before the end"]
    assert (found["inner"], found["error"], found["inner size"]) == (["innermost"], "'mine'", [COLUMNS, ROWS])
    assert drawn == b"afterwards\r\n"


def test_what_was_buffered_before_is_not_captured(tmp_path: Path) -> None:
    found, drawn = run(
        tmp_path,
        """
        print("before", end="")
        with Capture(lines.append):
            print("inside")
        print(" and after")
        """,
    )
    assert (found["lines"], drawn) == (["inside"], b"before and after\r\n")


def test_a_callback_that_raises_does_not_stop_the_reader(tmp_path: Path) -> None:
    found, drawn = run(
        tmp_path,
        """
        def on_line(line):
            lines.append(line)
            raise SystemExit(3) if line == "1" else ZeroDivisionError
        with Capture(on_line):
            print(*range(20_000), sep="\\n")
        lines[10:-1] = []
        """,
    )
    assert found["lines"] == [str(number) for number in (*range(10), 19_999)]
    assert drawn == b""


@pytest.mark.parametrize(
    "child",
    [
        pytest.param("while sleep 1; do :; done", id="silent"),
        pytest.param("trap '' PIPE; while :; do echo more; done", id="noisy"),
    ],
)
def test_a_child_that_outlives_the_capture_does_not_hold_it_up(tmp_path: Path, child: str) -> None:
    found, _ = run(
        tmp_path,
        f"""
        with Capture(lambda line: lines.append(line) if line != "more" else None):
            process = subprocess.Popen(["sh", "-c", {child!r}])
            print("the parent's last words")
        facts["alive"] = process.poll() is None
        process.kill()
        process.wait()
        """,
    )
    assert found["alive"]
    assert found["lines"] == ["the parent's last words"]


def test_a_callback_that_never_returns_does_not_hold_it_up(tmp_path: Path) -> None:
    found, _ = run(
        tmp_path,
        """
        with Capture(lambda line: threading.Event().wait()):
            print("a")
        facts["out"] = True
        """,
    )
    assert found["out"]


@pytest.mark.parametrize("redirected", ["", ">out.txt", "2>out.txt", ">out.txt 2>&1", ">&-", "2>&-"])
def test_size_and_drawing_are_the_terminals_wherever_the_output_goes(tmp_path: Path, redirected: str) -> None:
    found, drawn = run(
        tmp_path,
        """
        import shutil
        with Capture(lines.append):
            facts["sizes"] = [
                shutil.get_terminal_size(),
                os.get_terminal_size(sys.__stdout__.fileno()),
                os.get_terminal_size(sys.__stderr__.fileno()),
            ]
            facts["tty"] = [sys.__stdout__.isatty(), sys.__stderr__.isatty(), sys.stdout.isatty()]
            facts["inherited"] = [os.get_inheritable(sys.__stderr__.fileno()), os.get_inheritable(2)]
            print("a line")
            os.write(2, b"another\\n")
            sys.__stderr__.write("drawn ⣧")
        for fd in (1, 2):
            with contextlib.suppress(OSError):
                facts.setdefault("open", []).append((fd, bool(os.fstat(fd))))
        """,
        command="sh",
        arguments=["-c", f"exec {sys.executable} child.py {redirected}"],
    )
    assert found["sizes"] == [[COLUMNS, ROWS]] * 3
    assert found["tty"] == [True, True, False]
    assert len(found["open"]) == (1 if redirected.endswith("&-") else 2)
    assert found["inherited"] == [False, True]
    assert found["lines"] == ["a line", "another"]
    assert drawn.decode() == "drawn ⣧"


def test_an_encoding_without_braille_costs_no_cell_and_may_be_overruled(tmp_path: Path) -> None:
    body = """
        from bntui.tui.terminal.abilities import choose_markers
        with Capture(lines.append):
            sys.__stderr__.write("[⣧é]")
        with Capture(lines.append, encoding="utf-8"):
            sys.__stderr__.write("[⣧]")
        facts["markers"] = choose_markers(None)
        """
    found, drawn = run(tmp_path, body, env={"LC_ALL": "C"})
    assert (found["markers"], drawn.decode()) == ("ascii", "[??][⣧]")
    found, drawn = run(tmp_path, body, env={"LC_ALL": "C.UTF-8"})
    assert (found["markers"], drawn.decode()) == ("braille", "[⣧é][⣧]")


def test_a_terminal_that_another_process_made_non_blocking_is_drawn_on_in_full(tmp_path: Path) -> None:
    _, drawn = run(
        tmp_path,
        """
        with Capture(lines.append):
            os.set_blocking(sys.__stderr__.fileno(), False)
            sys.__stderr__.write("".join(f"{number:07d}" for number in range(50_000)))
            sys.__stderr__.flush()
            os.set_blocking(sys.__stderr__.fileno(), True)
        """,
    )
    assert drawn == "".join(f"{number:07d}" for number in range(50_000)).encode()


def test_a_terminal_that_goes_away_does_not_stop_the_writer(tmp_path: Path) -> None:
    child = spawn(
        tmp_path,
        """
        import signal
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with Capture(lines.append):
            sys.__stderr__.write("ready\\x1b[?1049h")
            sys.__stderr__.flush()
            while os.isatty(sys.__stderr__.fileno()):
                time.sleep(0.01)
            for number in range(1000):
                sys.__stderr__.write(200 * "frame")
                sys.__stderr__.flush()
            print("still here")
        """,
    )
    child.expect_exact(b"ready")
    os.close(child.child_fd)
    child.fileobj = None
    os.waitpid(child.pid, 0)
    child.terminated = child.closed = True
    assert json.loads((tmp_path / "out.json").read_text())["lines"] == ["still here"]


APP = """
import termios
from textual.app import App
from textual.widgets import Static

class Small(App):
    def compose(self):
        yield Static("the app's own screen", id="text")

    def on_mount(self):
        sys.stdout, sys.stderr = capture.streams()
        self.ticks = 0
        self.set_interval(0.02, self.tick)

    def tick(self):
        print("printed")
        os.write(1, b"STRAY one\\n")
        os.write(2, b"STRAY two\\n")
        self.ticks += 1
        self.query_one("#text").update(f"the app's own screen\\n{self.size} " + "steady" * (self.ticks > 20))

    def on_key(self, event):
        if event.key == "e":
            raise ZeroDivisionError("a fault of the app")
        self.exit("left")

facts["before"] = repr(termios.tcgetattr(0))
capture = Capture(lines.append)
"""
# Textual's input thread keeps a process from ending that left the event loop by an exception from a signal handler.
AFTER = f"""
facts["after"] = repr(termios.tcgetattr(0))
{WRITE_UP}
os._exit(0)
"""


def drawn_modes(drawn: bytes) -> dict[int, bool]:
    """Return which private modes are on at the end."""
    modes: dict[int, bool] = {}
    for part in drawn.split(b"\x1b[?")[1:]:
        number = part[: len(part) - len(part.lstrip(b"0123456789"))]
        if part[len(number) : len(number) + 1] in (b"h", b"l"):
            modes[int(number)] = part[len(number) : len(number) + 1] == b"h"
    return modes


@pytest.mark.parametrize("end", ["leaves", "raises", "is interrupted", "dies", "loses its driver"])
def test_an_app_keeps_its_screen_and_gives_the_terminal_back(tmp_path: Path, end: str) -> None:
    around = {
        "dies": """
            from textual.drivers.linux_driver import LinuxDriver
            LinuxDriver.stop_application_mode = lambda self: None
            with capture: facts["returned"] = Small().run()
            """,
        "loses its driver": """
            def on_key(self, event): raise KeyboardInterrupt
            Small.on_key = on_key
            with contextlib.suppress(KeyboardInterrupt), capture: Small().run()
            """,
        "is interrupted": """
            import signal
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
            try:
                with capture: Small().run()
            except SystemExit as error: facts["code"] = error.code
            """,
    }.get(end, 'with capture: facts["returned"] = Small().run()')
    child = spawn(tmp_path, APP + textwrap.dedent(around) + AFTER)
    child.expect_exact(b"steady")
    up_to_now = child.before + child.after
    screen = pyte.Screen(COLUMNS, ROWS)
    # pyte knows neither the key protocol nor the questions to the terminal.
    pyte.ByteStream(screen).feed(up_to_now.replace(b"\x1b[>25u", b"").replace(b"$p", b"h"))
    assert [line.rstrip() for line in screen.display if line.strip()] == [
        "the app's own screen",
        f"Size(width={COLUMNS}, height={ROWS}) steady",
    ]
    if end == "is interrupted":
        child.kill(15)
    else:
        child.send(b"e" if end == "raises" else b"q")
    found, rest = finish(child, tmp_path)
    assert b"STRAY" not in up_to_now + rest and b"printed" not in up_to_now + rest
    assert {"printed", "STRAY one", "STRAY two"} <= set(found["lines"])
    assert rest.count(b"\x1b[?1049l") == 1
    modes = drawn_modes(up_to_now + rest)
    assert modes[25] and modes[7]
    assert not any(modes[mode] for mode in (1049, 1000, 1003, 1006, 1015, 1016, 1004, 2004, 2048))
    assert found["before"] == found["after"]
    assert up_to_now.count(b"\x1b[>25u") == rest.count(b"\x1b[<u") == 1
    if end == "raises":
        assert any("a fault of the app" in line for line in found["lines"])
    elif end == "leaves":
        assert found["returned"] == "left"

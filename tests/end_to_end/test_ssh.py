"""The app over a real sshd on the loopback address, with keys that are thrown away."""

from __future__ import annotations

import getpass
import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from terminal_session import TIMEOUT, TerminalSession

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SHELL = pwd.getpwuid(os.getuid()).pw_shell
pytestmark = [
    pytest.mark.skipif(SSHD is None or shutil.which("ssh") is None, reason="no sshd here (Debian: openssh-server)"),
    pytest.mark.skipif(SHELL.endswith(("nologin", "false")), reason=f"this user can't log in: the shell is {SHELL}"),
]
SMALL = ["--data", "synthetic", "--train-samples", "2000", "--validation-samples", "200", "--epochs", "100000"]


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[list[str]]:
    """Start a server; give the command that logs in, up to what is to be run there."""
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "HostKey": tmp_path / "host", "AuthorizedKeysFile": tmp_path / "user.pub", "PidFile": tmp_path / "pid",
        "ListenAddress": f"127.0.0.1:{port}", "PermitRootLogin": "yes", "StrictModes": "no", "UsePAM": "no",
    }  # fmt: skip
    (tmp_path / "config").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    assert SSHD is not None
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(tmp_path / "config")], stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + TIMEOUT
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, server.stderr.read() if server.stderr else ""
            assert time.monotonic() < end
            time.sleep(0.05)
        yield [
            "ssh", "-F", "none", "-tt", "-q", "-p", str(port), "-i", str(tmp_path / "user"),
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes",
            f"{getpass.getuser()}@127.0.0.1",
        ]  # fmt: skip
    finally:
        server.terminate()
        server.wait()


def command(*options: str) -> str:
    """What the login shell is told: it has an environment of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    words = [f"{name}={value}" for name, value in {**kept, "LC_ALL": "C.UTF-8"}.items()]
    return shlex.join(["cd", str(Path(__file__).parents[2])]) + " && " + shlex.join(
        ["env", *words, sys.executable, "-m", "bntui", *SMALL, *options]
    )  # fmt: skip


def test_over_ssh_it_has_the_clients_size_and_outlives_the_client(ssh: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with TerminalSession([*ssh, command("--run-dir", str(folder))], size=(150, 40)) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        assert max(len(row) for row in s.rows) > 140
        s.wait("BN 1 · norm1")
        s.press("?", "Keys that do something")
        s.press("\x1b", lambda text: "Keys that do something" not in text)
        s.resize(80, 24)
        s.wait(lambda text: "train loss" in text and "running" in text and "BN 1 ·" not in text)
        s.resize(160, 48)
        s.wait(lambda text: "train accuracy" in text and "BN 1 · norm1" in text)
        s.press("b", "BN off")
        s.kill(signal.SIGKILL)  # the client's machine is gone
        s.finish()
        end = time.monotonic() + TIMEOUT
        while not (folder / "results.json").exists():
            assert time.monotonic() < end
            time.sleep(0.1)
    results = json.loads((folder / "results.json").read_text())
    assert results["status"] == "interrupted"
    assert [row["action"] for row in results["interventions"]] == ["bn", "stop"]


def test_over_ssh_it_leaves_a_clean_terminal_and_its_exit_code(ssh: list[str], tmp_path: Path) -> None:
    with TerminalSession([*ssh, command("--run-dir", str(tmp_path / "run"))], size=(100, 30)) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        s.send("\x1a")  # no shell that could continue it
        s.wait("no shell to go to")
        s.send("\x03")
        assert s.finish() == 130
        assert s.attributes() == s.attributes_before
        assert bytes(s.raw).rfind(b"\x1b[?1049l") > bytes(s.raw).rfind(b"\x1b[?1049h")

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("bntui")]
SMALL = [
    "--data",
    "synthetic",
    "--train-samples",
    "640",
    "--validation-samples",
    "100",
    "--max-steps",
    "30",
    "--headless",
]


def test_the_readme_has_commands() -> None:
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command: str, tmp_path: Path) -> None:
    """With less data and fewer steps, and without the screen; the last of equal options wins."""
    words = shlex.split(command, comments=True)[1:]
    trains = not words or words[0].startswith("-") or words[0] == "experiment"
    given = [*words, *SMALL] if trains else words
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "bntui", *given], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_pictures_of_the_readme_are_there() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (Path(__file__).parent.parent / picture).is_file(), picture


def test_a_source_distribution_holds_what_the_readme_shows() -> None:
    included = (Path(__file__).parent.parent / "pyproject.toml").read_text().partition("targets.sdist]\n")[2]
    folders = {picture.partition("/")[0] for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)}
    for name in {*folders, "tests", "README.md"}:
        assert f'"/{name}"' in included.partition("]")[0]

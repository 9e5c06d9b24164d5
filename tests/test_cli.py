from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bntui.cli import build_parser, main

COMMANDS = ["open", "experiment", "explain", "completion"]


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command line is refused with."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("bntui: error: ")


def test_the_help_names_the_commands_before_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    places = [shown.index(f"\n    {command} ") for command in COMMANDS]
    assert places == sorted(places)
    assert places[-1] < shown.index("--data NAME") < shown.index("--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example_that_its_parser_takes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: bntui {command} ")
    example = shown.partition("\nexample: ")[2].partition("bntui ")[2].partition(")")[0]
    assert build_parser().parse_args(example.split()).command.__name__ == f"_{command}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["opne", "x"], "no command is called 'opne'; did you mean bntui open?"),
        (["--headless", "expriment"], "did you mean bntui experiment?"),
        (["elsewhere"], "no command is called 'elsewhere'; see bntui --help"),
        ([__file__], f"did you mean bntui open {__file__}?"),
        (["--epochs", "3", "open", "x"], "--epochs is an option of a run, and bntui open makes none; leave out one"),
        (["--theme", "dark", "open", "x"], "--theme stands before open: options follow the command"),
        (["--config", "x", "open", "x"], "--config stands before open"),
        (["--lr", "1", "experiment", "x"], "--lr stands before experiment: options follow the command; see bntui exp"),
        (["--ephocs", "3"], "unrecognized arguments: --ephocs; did you mean --epochs?"),
        (["--ephocs", "3", "open", "x"], "unrecognized arguments: --ephocs; did you mean --epochs?"),
        (["--ephocs", "open", "x"], "unrecognized arguments: --ephocs; did you mean --epochs?"),
        (["open", "x", "--theem", "dark"], "unrecognized arguments: --theem dark; did you mean --theme?"),
        (["open", "x", "--epochs", "3"], "unrecognized arguments: --epochs 3; see bntui open --help"),
        (["open"], "required: RUN; see bntui open --help"),
        (["experiment", "vanishing", "--sedes", "3"], "did you mean --seeds?"),
        (["completion", "ksh"], "completion takes one of bash, zsh"),
    ],
)
def test_a_wrong_command_line_is_told_what_to_do(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(words, capsys)


def test_what_looks_like_a_command_may_be_the_value_of_an_option() -> None:
    given = build_parser().parse_args(["--data-dir", "open", "--headless"])
    assert vars(given) == {"data_dir": "open", "headless": True}


@pytest.mark.parametrize(
    "words",
    [
        ["--lr", "0"], ["open", "nowhere"], ["experiment", "nothing"], ["explain", "--layers", "0"],
        ["completion", "ksh"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_debug_shows_where_an_error_comes_from(
    words: list[str], first: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--debug", *words] if first else [*words, "--debug"]) != 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("bntui: error: ")


@pytest.mark.parametrize("words", [[command, "--help"] for command in COMMANDS] + [["completion", "bash"]])
def test_only_what_a_command_needs_is_imported(words: list[str]) -> None:
    code = (
        "import sys\nfrom bntui.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'rich', 'textual', 'shtab'}\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules} & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ("shtab" if words[0] == "completion" and "--help" not in words else "")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", {"open", "experiment", "explain", "completion"}),
        ("op", {"open"}),
        ("--ep", {"--epochs"}),
        ("--data fa", {"fashion-mnist"}),
        ("experiment vani", {"vanishing"}),
        ("open some", {"some-run"}),
        ("completion z", {"zsh"}),
    ],
)
def test_bash_completes_commands_options_and_names(typed: str, offered: set[str], tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    made = subprocess.run(
        [sys.executable, "-m", "bntui", "completion", "bash"], capture_output=True, text=True, check=True,
        env=environment,
    )  # fmt: skip
    (tmp_path / "some-run").mkdir()
    words = ["bntui", *typed.split(" ")]
    asked = (
        f"{made.stdout}\nCOMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}\n"
        'function=$(complete -p bntui | sed "s/.*-F \\([^ ]*\\).*/\\1/"); "$function"\n'
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert {word.rstrip("/") for word in done.stdout.split()} == offered

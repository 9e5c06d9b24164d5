from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.cells import cell_len

from bntui.cli import main
from bntui.lab.explain import CELL, EXAMPLE, LINE, explain


def matrix(lines: list[str], title: str, after: str, columns: int = 3) -> np.ndarray:
    """The numbers at the right of the first line with `title` that follows a line with `after`, and below it."""
    start = next(i for i, line in enumerate(lines) if after in line)
    at = next(i for i, line in enumerate(lines[start:], start) if line.strip().startswith(title))
    cells = [line.ljust(LINE) for line in lines[at:]]
    cells[0] = cells[0].replace("\u0302", "")
    rows = []
    for i, line in enumerate(cells):
        numbers = line[-CELL * columns :].split()
        if i and line[:20].strip():
            break
        try:
            rows.append([float(word) for word in numbers])
        except ValueError:
            # The title took all of its line.
            if i:
                break
    return np.array([row for row in rows if len(row) == columns])


def weighted(z: torch.Tensor) -> torch.Tensor:
    """The loss of the explanation."""
    return (torch.arange(1, len(z) + 1, dtype=z.dtype)[:, None] * z).sum() / len(z)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_printed_numbers_are_pytorchs_own(layers: int) -> None:
    modules = [torch.nn.BatchNorm1d(3, dtype=torch.float64) for _ in range(layers)]
    if layers > 1:
        with torch.no_grad():
            modules[-1].weight.fill_(0.8)
            modules[-1].bias.fill_(-0.2)
    x = torch.tensor(EXAMPLE, requires_grad=True)
    z = x
    for module in modules:
        z = torch.relu(module(z))
    loss = weighted(z)
    loss.backward()
    lines = list(explain(EXAMPLE, layers))
    assert f"{loss.item():.6g}" in next(line for line in lines if line.startswith("Loss"))
    first, last = "Layer 1, backward", f"Layer {layers}, backward"
    assert x.grad is not None
    assert matrix(lines, "input", "Layer 1, forward").tolist() == EXAMPLE.tolist()
    assert matrix(lines, "6 input", first) == pytest.approx(x.grad.numpy(), abs=6e-5)
    for module, title in ((modules[0], first), (modules[-1], last)):
        assert module.weight.grad is not None and module.bias.grad is not None
        assert matrix(lines, "2 scale", title)[0] == pytest.approx(module.weight.grad.numpy(), abs=6e-5)
        assert matrix(lines, "1 shift", title)[0] == pytest.approx(module.bias.grad.numpy(), abs=6e-5)
    assert matrix(lines, "ReLU", f"Layer {layers}, forward") == pytest.approx(z.detach().numpy(), abs=6e-5)
    assert matrix(lines, "running variance", f"Layer {layers}, forward")[0] == pytest.approx(
        modules[-1].running_var.numpy(), abs=6e-5
    )
    evaluated = torch.tensor(EXAMPLE, requires_grad=True)
    y = modules[0].eval()(evaluated)
    y.sum().backward()
    assert evaluated.grad is not None
    assert matrix(lines, "scaled", "eval mode") == pytest.approx(y.detach().numpy(), abs=6e-5)
    assert matrix(lines, "backward", "eval mode")[0] == pytest.approx(evaluated.grad[0].numpy(), abs=6e-5)


def test_the_example_fits_two_screens_and_its_channels_differ() -> None:
    lines = list(explain(EXAMPLE))
    assert len(lines) <= 60
    assert all(cell_len(line) <= LINE for line in lines)
    normalized = matrix(lines, "3 normalize", "forward")
    assert all(abs(normalized[:, i] - normalized[:, j]).max() > 0.1 for i, j in ((0, 1), (0, 2), (1, 2)))
    # The gradient that comes back is none of rounding and ε alone.
    assert (abs(matrix(lines, "6 input", "backward")).max(0) > 1e-3).all()
    assert len(list(explain(EXAMPLE, 3))) > len(lines)


def test_what_is_repeated_is_said_not_printed_again() -> None:
    alone, of_two = "\n".join(explain(EXAMPLE)), "\n".join(explain(EXAMPLE, 2))
    for said in ("γ 1, β 0; the same as x\u0302", "the same as ∂y, as γ is 1"):
        assert said in alone and said in of_two
    assert "γ 0.8, β -0.2  " in of_two


def test_a_csv_file_with_names_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.random.default_rng(1).normal(3, 2, (20, 10))
    file = tmp_path / "batch.csv"
    file.write_text(
        ",".join(f"c{i}" for i in range(10)) + "\n" + "\n".join(",".join(f"{v:.17g}" for v in row) for row in rows)
    )
    assert main(["explain", "--data-file", str(file), "--layers", "1", "--bn-momentum", "0.5"]) == 0
    shown = capsys.readouterr().out
    assert "20 samples × 10 channels" in shown
    assert "… 2 more" in shown and "… 8 more rows" in shown
    assert f"{rows[:, 0].mean():.4f}" in shown
    assert f"{0.5 + 0.5 * rows[:, 0].var(ddof=1):.4f}" in shown


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't be read"), ("", "has 0 rows"), ("1,2\n", "has 1 rows"), ("a,b\n1,2\n", "has 1 rows"),
        ("1,2\n3\n", "row 2 has 1 columns"), ("1,2\n3,x\n", "row 2, column 2 is 'x'"),
        ("1,2\n3,nan\n", "row 2, column 2 is 'nan'"), ("1,2\n3,1e999\n", "row 2, column 2"),
        (b"\xff\xfe\x00\x01", "can't be read"), ("1,2\n3,\n", "row 2, column 2 is ''"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_line(
    content: str | bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "batch.csv"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["explain", "--data-file", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("bntui: error: --data-file") and message in captured.err


@pytest.mark.parametrize(
    "words", [["--layers", "0"], ["--layers", "x"], ["--bn-eps", "0"], ["--bn-momentum", "cumulative"], ["--lr", "1"]]
)
def test_a_bad_option_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *words]) == 2
    assert words[0] in capsys.readouterr().err


def test_it_needs_no_torch_and_keeps_to_ascii_where_it_must() -> None:
    code = "import sys; from bntui.cli import main; main(['explain']); assert 'torch' not in sys.modules"
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=ascii_only, check=True)
    assert done.stdout.isascii() and b"\\u" not in done.stdout and b"sqrt(s^2 + eps)" in done.stdout

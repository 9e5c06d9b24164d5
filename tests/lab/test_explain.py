from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bntui.cli import main
from bntui.lab.explain import EXAMPLE, explain


def matrix(lines: list[str], title: str, after: str) -> np.ndarray:
    """The numbers printed below the first line with `title` that follows a line with `after`."""
    start = next(i for i, line in enumerate(lines) if after in line)
    at = next(i for i, line in enumerate(lines[start:], start) if line.strip().startswith(title))
    rows = []
    for line in lines[at + 1 :]:
        try:
            rows.append([float(word) for word in line.split()])
        except ValueError:
            break
        if not line.strip():
            break
    return np.array([row for row in rows if row])


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
    loss = (z**2).mean()
    loss.backward()
    lines = list(explain(EXAMPLE, layers))
    assert f"{loss.item():.6g}" in next(line for line in lines if line.startswith("Loss"))
    first, last = "Layer 1, backward", f"Layer {layers}, backward"
    assert x.grad is not None
    assert matrix(lines, "6 input", first) == pytest.approx(x.grad.numpy(), abs=6e-5)
    for module, title in ((modules[0], first), (modules[-1], last)):
        assert module.weight.grad is not None and module.bias.grad is not None
        assert matrix(lines, "2 scale", title)[0] == pytest.approx(module.weight.grad.numpy(), abs=6e-5)
        assert matrix(lines, "1 shift", title)[0] == pytest.approx(module.bias.grad.numpy(), abs=6e-5)
    assert matrix(lines, "running variance", f"Layer {layers}, forward")[0] == pytest.approx(
        modules[-1].running_var.numpy(), abs=6e-5
    )
    y = modules[0].eval()(torch.tensor(EXAMPLE))
    if layers > 1:
        assert matrix(lines, "scaled", "eval mode") == pytest.approx(y.detach().numpy(), abs=6e-5)


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

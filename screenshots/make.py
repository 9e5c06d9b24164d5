"""Make the pictures in this folder from real runs: python screenshots/make.py --data-dir FOLDER (Fashion-MNIST)."""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console


def main() -> None:
    """Run bntui and draw what it printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", default="/usr/share/datasets/fashion-mnist")
    data_dir = parser.parse_args().data_dir
    with tempfile.TemporaryDirectory() as folder:
        options = ["--headless", "--data", "fashion-mnist", "--data-dir", data_dir, "--run-dir", "run"]
        done = subprocess.run(
            [sys.executable, "-m", "bntui", *options], cwd=folder, check=True, capture_output=True, text=True
        )
    console = Console(record=True, width=124, file=io.StringIO())
    console.print("$ bntui --headless --data fashion-mnist", style="bold", markup=False, highlight=False)
    console.print(done.stdout.rstrip(), markup=False, highlight=False)
    console.save_svg(str(Path(__file__).with_name("headless.svg")), title="bntui")


if __name__ == "__main__":
    main()

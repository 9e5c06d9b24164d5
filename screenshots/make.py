"""Make the pictures in this folder from a real run: python screenshots/make.py --data-dir FOLDER (Fashion-MNIST).

Each is what a real terminal shows: of the app while it trains, or of a run that was trained headless and then opened.
Needs the test requirements and the font DejaVu Sans Mono (Debian: fonts-dejavu-core).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pexpect
import pyte
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
DEEP = ["--hidden", "64x8", "--activation", "sigmoid"]
"""What the flow view is shown with: a net whose gradients vanish without batch normalization."""
LIVE = {
    # What is pressed, and for how many seconds is waited before and after.
    "charts-160x48": ([], (160, 48), ["", 7, "b", 2, "b", 4, "++", 3, "u", 4]),
    "charts-160x48-light": (["--theme", "light"], (160, 48), ["", 9, "f", 4]),
    "charts-100x30": ([], (100, 30), ["", 8, "b", 2, "b", 3]),
    "charts-80x24": ([], (80, 24), ["", 9]),
    "charts-40x12": ([], (40, 12), ["", 9]),
    "charts-end-100x30": (["--epochs", "2"], (100, 30), ["", 12]),
    "layers-160x48": ([], (160, 48), ["", 4, "2", 5, "\x1b[B", 2]),
    "layers-80x24": ([], (80, 24), ["", 4, "2", 5]),
    "flow-160x48": (DEEP, (160, 48), ["", 3, "3", 10]),
    "flow-80x24": (DEEP, (80, 24), ["", 3, "3", 8]),
    "why-160x48": ([], (160, 48), ["", 3, "4", 9]),
    "why-80x24": ([], (80, 24), ["", 3, "4", 8]),
    "explain-160x48": ([], (160, 48), ["", 5, "5", 3]),
    "explain-80x24": ([], (80, 24), ["", 5, "5", 3]),
    "log-80x24": ([], (80, 24), ["", 6, "b", 1, "b", 1, "6", 2]),
}  # fmt: skip
"""Pictures of runs while they train: options, size, and keys and seconds in turn."""
EXPERIMENTS = {
    "experiment-shift": (["--intervene", "5000:shift=contrast:-0.7,11000:adapt_bn=on"], "1"),
    "experiment-eval": (["--intervene", "5000:bn_eval=single,11000:bn_eval=running"], "1"),
    "experiment-small-batch": (["--arms", "batch,group:8,layer,none", "--batch-size", "2", "--lr", "0.001",
                                "--epochs", "3"], "1"),
    "experiment-mechanism": (["--probe", "all", "--probe-every", "50", "--hidden", "64x8", "--optimizer", "sgd",
                              "--lr", "0.1", "--epochs", "3"], "4"),
}  # fmt: skip
"""The options of the README's experiments that the pictures above don't show, and the key to where they are seen."""
EXPERIMENT_SIZE = (120, 32)
CELL = (9, 18)
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each braille dot, from the lowest bit on."""


def save_png(command: list[str], keys: list[Any], size: tuple[int, int], path: Path) -> None:
    """Start bntui in a terminal of that size, press keys and wait in turn, and draw its cells."""
    screen = pyte.Screen(*size)
    stream = pyte.ByteStream(screen)
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        environment.pop(name, None)
    child = pexpect.spawn(
        sys.executable, ["-m", "bntui", *command], dimensions=size[::-1], env=environment, timeout=0.2
    )
    for key, seconds in zip(keys[::2], keys[1::2], strict=True):
        child.send(key)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(pexpect.TIMEOUT):
                stream.feed(child.read_nonblocking(65536))
    child.close(force=True)
    width, height = CELL
    image = Image.new("RGB", (size[0] * width, size[1] * height))
    draw, font = ImageDraw.Draw(image), ImageFont.truetype(FONT, 15)
    for y in range(size[1]):
        for x in range(size[0]):
            cell = screen.buffer[y][x]
            front, back = ("#" + c if len(c) == 6 else d for c, d in ((cell.fg, "#e0e0e0"), (cell.bg, "#121212")))
            if cell.reverse:
                front, back = back, front
            left, top = x * width, y * height
            draw.rectangle((left, top, left + width - 1, top + height - 1), fill=back)
            code = ord(cell.data[:1] or " ")
            if 0x2800 <= code <= 0x28FF:
                for bit, (column, row) in enumerate(DOTS):
                    if code >> bit & 1:
                        dx, dy = left + width * (1 + 2 * column) / 4, top + height * (1 + 2 * row) / 8
                        draw.ellipse((dx - 1.3, dy - 1.3, dx + 1.3, dy + 1.3), fill=front)
            elif cell.data.strip():
                draw.text((left, top), cell.data, font=font, fill=front)
    image.save(path, optimize=True)


def main() -> None:
    """Train, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--only", default="", help="take the pictures whose names begin so")
    given = parser.parse_args()
    data = ["--data", "fashion-mnist", "--data-dir", given.data_dir]
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_STATE_HOME"] = temporary
        for name, (options, size, keys) in LIVE.items():
            if name.startswith(given.only):
                save_png([*data, *options, "--run-dir", f"{temporary}/{name}"], keys, size, HERE / f"{name}.png")
        for name, (own, key) in EXPERIMENTS.items():
            if name.startswith(given.only):
                folder = f"{temporary}/{name}"
                options = ["--headless", "--quiet", *data, *own, "--run-dir", folder]
                subprocess.run([sys.executable, "-m", "bntui", *options], check=True)
                save_png(["open", folder], ["", 2, key, 4], EXPERIMENT_SIZE, HERE / f"{name}.png")


if __name__ == "__main__":
    main()

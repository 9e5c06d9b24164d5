"""Make the pictures in this folder from a real run: python screenshots/make.py --data-dir FOLDER (Fashion-MNIST).

Runs are trained headless and then shown by the app: the views as SVG by the app itself, and all as PNG from a real
terminal's contents. Needs the test requirements and the font DejaVu Sans Mono (Debian: fonts-dejavu-core).
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pexpect
import pyte
from PIL import Image, ImageDraw, ImageFont

from bntui.tui.app import BntuiApp
from bntui.tui.sources.playback import Playback

HERE = Path(__file__).parent
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
SIZES = ((160, 48), (80, 24))
VIEWS = {"charts": "1", "batch-norm": "2", "flow": "3", "mechanism": "33", "explain": "4", "log": "5"}
"""The keys that lead there."""
DEEP = ["--hidden", "64x8", "--activation", "sigmoid"]
"""What the flow view is shown with: a net whose gradients vanish without batch normalization."""
EXPERIMENTS = {
    "experiment-shift": (["--intervene", "5000:shift=contrast:-0.7,11000:adapt_bn=on"], "1"),
    "experiment-eval": (["--intervene", "5000:bn_eval=single,11000:bn_eval=running"], "1"),
    "experiment-small-batch": (["--arms", "batch,group:8,layer,none", "--batch-size", "2", "--lr", "0.001",
                                "--epochs", "3"], "1"),
    "experiment-mechanism": (["--probe", "all", "--probe-every", "50", "--hidden", "64x8", "--optimizer", "sgd",
                              "--lr", "0.1", "--epochs", "3"], "33y"),
}  # fmt: skip
"""The options of the README's experiments that the views above don't show, and the keys to where they are seen."""
EXPERIMENT_SIZE = (120, 32)
CELL = (9, 18)
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each braille dot, from the lowest bit on."""


async def save_svg(folder: Path, view: str, size: tuple[int, int], path: Path) -> None:
    """Show a view of the run at a size and let the app draw itself."""
    app = BntuiApp(Playback(str(folder)))
    async with app.run_test(size=size) as pilot:
        await pilot.press(*VIEWS[view])
        await pilot.pause(2)  # one chart is drawn a tick
        path.write_text(app.export_screenshot(title="bntui"))


def save_png(folder: Path, keys: str, size: tuple[int, int], path: Path) -> None:
    """Show the run in a terminal of that size, press keys, and draw its cells."""
    screen = pyte.Screen(*size)
    stream = pyte.ByteStream(screen)
    environment = {**dict(TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")}
    child = pexpect.spawn(
        sys.executable, ["-m", "bntui", "open", str(folder)], dimensions=size[::-1], env=environment, timeout=0.2
    )
    end = time.monotonic() + 6
    child.send(keys)
    while time.monotonic() < end:
        try:
            stream.feed(child.read_nonblocking(65536))
        except pexpect.TIMEOUT:
            continue
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
    """Train, then take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="/usr/share/datasets/fashion-mnist")
    data_dir = parser.parse_args().data_dir
    with tempfile.TemporaryDirectory() as temporary:
        given = ["--headless", "--quiet", "--data", "fashion-mnist", "--data-dir", data_dir]
        runs = {"lab": ["--probe", "all"], "deep": DEEP, **{name: own for name, (own, _) in EXPERIMENTS.items()}}
        folders = {name: Path(temporary) / name for name in runs}
        for name, own in runs.items():
            options = [*given, *own, "--run-dir", str(folders[name])]
            subprocess.run([sys.executable, "-m", "bntui", *options], check=True)
        for size in SIZES:
            for view in VIEWS:
                folder = folders["deep" if view == "flow" else "lab"]
                path = HERE / f"{view}-{size[0]}x{size[1]}.svg"
                asyncio.run(save_svg(folder, view, size, path))
                save_png(folder, VIEWS[view], size, path.with_suffix(".png"))
        for name, (_, keys) in EXPERIMENTS.items():
            save_png(folders[name], keys, EXPERIMENT_SIZE, HERE / f"{name}.png")


if __name__ == "__main__":
    main()

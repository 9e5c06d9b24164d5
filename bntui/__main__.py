"""`python -m bntui` is `bntui`."""

from bntui.cli import run

run()

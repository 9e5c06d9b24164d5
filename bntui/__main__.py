"""`bntui` and `python -m bntui`: signals are taken before anything is imported that takes time."""

from typing import NoReturn

from bntui.messages.signals import leave_when_stopped


def run() -> NoReturn:
    """Be the command."""
    leave_when_stopped()
    from bntui.cli import run

    run()


if __name__ == "__main__":
    run()

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Programs that the tests start inherit what is ignored, and leave it ignored: SIGHUP under nohup, and SIGINT where a
# shell without job control starts the tests in the background.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadlines and no health check by the clock: a slow machine is no failure. The same examples every time.
settings.register_profile("bntui", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bntui")

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep run folders and downloads of the tests away from those of the person who runs them."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    return home


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Give every test the thread count that runs choose for themselves on small networks."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def fashion_mnist() -> Path:
    """The real data set, as Debian packages it."""
    if not FASHION_MNIST.is_dir():
        pytest.skip("no real data: Debian's package dataset-fashion-mnist is not installed")
    return FASHION_MNIST

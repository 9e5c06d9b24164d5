from __future__ import annotations

import pytest
import torch

from bntui.config.options import RunConfig
from bntui.training import devices


def test_small_layers_get_one_thread_and_what_is_asked_for_is_given() -> None:
    assert devices.choose_threads(RunConfig()) == 1
    assert devices.choose_threads(RunConfig(threads=3)) == 3


def test_large_layers_get_all_that_torch_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert devices.choose_threads(RunConfig(hidden=(2048, 2048), batch_size=512)) == 2


def test_the_environment_names_the_device() -> None:
    told = devices.describe(torch.device("cpu"), 1)
    assert told["device"] == "cpu"
    assert told["device_name"]
    assert told["torch"] == torch.__version__


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_ran_out_is_told_apart_from_other_errors(error: Exception) -> None:
    cpu = torch.device("cpu")
    assert "--batch-size 32" in str(devices.out_of_memory(error, RunConfig(batch_size=64), cpu))
    assert devices.out_of_memory(ValueError("out of memory"), RunConfig(), cpu) is None

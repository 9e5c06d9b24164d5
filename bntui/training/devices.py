"""Which device and how many threads a run gets, and what they are called."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from bntui.config.options import RunConfig
from bntui.errors import DeviceError

_SERIAL_WORK = 5e8
"""Floating-point operations a step below which a second thread costs more than it brings (some 20 ms of one core)."""


def choose_device(name: str) -> torch.device:
    """Return the device that a name of `--device` means.

    Raises
    ------
    DeviceError
        There is no such device here.
    """
    mps = torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    device = torch.device(name)
    if device.type == "mps" and not mps:
        raise DeviceError("--device mps: this machine or this torch has no Metal; use --device cpu")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            why = "this torch is built without CUDA" if torch.version.cuda is None else "torch sees no CUDA GPU"
            raise DeviceError(f"--device {name}: {why}; use --device cpu")
        device = torch.device("cuda", device.index or 0)
        if device.index >= torch.cuda.device_count():
            raise DeviceError(
                f"--device {name}: the last GPU here is cuda:{torch.cuda.device_count() - 1}; name that or use auto"
            )
    return device


def choose_threads(config: RunConfig) -> int:
    """Return the number of CPU threads: what was asked for, else one unless a step is long.

    On small layers a second thread gains a few percent on an idle machine and loses everything on a busy one.
    """
    if config.threads is not None:
        return config.threads
    widths = (784, *config.hidden, 10)
    weights = sum(a * b for a, b in zip(widths, widths[1:], strict=False))
    work = 2 * 6 * config.batch_size * weights
    return 1 if work < _SERIAL_WORK else min(torch.get_num_threads(), len(os.sched_getaffinity(0)))


def describe(device: torch.device, threads: int) -> dict[str, Any]:
    """Return the `environment` part of the results."""
    environment = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        "threads": threads,
        "platform": platform.platform(),
    }
    if device.type == "cuda":
        # By which the driver tells of its use; torch has it from 2.4 on.
        environment["device_uuid"] = str(getattr(torch.cuda.get_device_properties(device), "uuid", ""))
    return environment


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def out_of_memory(error: BaseException, config: RunConfig, device: torch.device) -> DeviceError | None:
    """Return the error to report if `error` says that memory ran out, else None."""
    text = str(error)
    said = "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or (isinstance(error, RuntimeError) and said):
        smaller = max(2, config.batch_size // 2)
        return DeviceError(
            f"out of memory on {device}; try --batch-size {smaller}, narrower --hidden layers or fewer --train-samples"
        )
    return None

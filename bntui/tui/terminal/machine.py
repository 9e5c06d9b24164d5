"""What the run takes of the machine, measured in a thread of its own: drivers can be slow to answer."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import Any

SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Use, in percent, and memory, in bytes; None where it can't be told."""

    cpu: float
    """Of this process: 100 is one core."""
    memory: int
    """Of this process, resident."""
    gpu: float | None = None
    """Of the whole GPU, in the last sample period of the driver."""
    gpu_memory: int | None = None
    """Of the whole GPU."""
    gpu_memory_total: int | None = None


class Meter:
    """Reads the usage every two seconds until it is stopped.

    Parameters
    ----------
    device
        Name of the device trained on, as torch writes it.
    uuid
        Of the GPU, as torch tells it; empty for other devices.
    """

    def __init__(self, device: str, uuid: str) -> None:
        self.usage: Usage | None = None
        self._device, self._uuid = device, uuid
        self._stopped = threading.Event()
        threading.Thread(target=self._work, name="bntui-meter", daemon=True).start()

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()

    def _work(self) -> None:
        import psutil

        process = psutil.Process()
        process.cpu_percent()  # of the time since the call before
        gpu = open_gpu(self._uuid) if self._device.startswith("cuda") else None
        while not self._stopped.wait(SECONDS):
            with contextlib.suppress(psutil.Error):
                self.usage = Usage(process.cpu_percent(), process.memory_info().rss, *read_gpu(gpu))


def open_gpu(uuid: str) -> Any:
    """Return NVML's handle of a GPU, or None where there is no driver to ask (https://pypi.org/project/nvidia-ml-py/).

    By its UUID, because CUDA and NVML need not count the GPUs alike.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
    except pynvml.NVMLError:
        return None


def read_gpu(handle: Any) -> tuple[float | None, int | None, int | None]:
    """Return use in percent, and used and total memory in bytes; None for what can't be told."""
    if handle is None:
        return None, None, None
    import pynvml

    use = used = total = None
    with contextlib.suppress(pynvml.NVMLError):
        use = float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    with contextlib.suppress(pynvml.NVMLError):
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        used, total = int(memory.used), int(memory.total)
    return use, used, total

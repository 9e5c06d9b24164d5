from __future__ import annotations

import os
import time
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from bntui.tui.terminal import machine


def test_the_meter_reads_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SECONDS", 0.01)
    meter = machine.Meter("cpu", "")
    while meter.usage is None:
        time.sleep(0.01)
    meter.stop()
    resident = psutil.Process(os.getpid()).memory_info().rss
    assert 0.5 < meter.usage.memory / resident < 2
    assert meter.usage.cpu >= 0
    assert (meter.usage.gpu, meter.usage.gpu_memory, meter.usage.gpu_memory_total) == (None, None, None)


def test_a_gpu_is_found_by_its_uuid_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: asked.append(uuid) or "handle")
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", lambda handle: SimpleNamespace(gpu=45, memory=9))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda handle: SimpleNamespace(used=3 << 30, total=80 << 30))
    handle = machine.open_gpu("1234-abcd")
    assert machine.read_gpu(handle) == (45.0, 3 << 30, 80 << 30)
    machine.open_gpu("GPU-5")
    assert asked == ["GPU-1234-abcd", "GPU-5"]


def test_nothing_is_invented_where_the_driver_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    for name in ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo"):
        monkeypatch.setattr(pynvml, name, refuse)
    assert machine.read_gpu("handle") == (None, None, None)
    assert machine.read_gpu(None) == (None, None, None)
    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    assert machine.open_gpu("1") is None

"""Push the events of a run of so many steps through the recorder; print the process's peak memory in KiB."""

from __future__ import annotations

import resource
import sys
import tempfile

from bntui.config.options import RunConfig
from bntui.messages import events as e
from bntui.messages.arms import build_arms
from bntui.messages.history import History
from bntui.storage.recorder import Recorder

STEPS_PER_EPOCH, STEPS_PER_EVENT = 1_875, 200


def main(steps: int) -> None:
    config = RunConfig(data="synthetic", device="cpu", threads=1, run_dir=tempfile.mkdtemp())
    recorder = Recorder(config, History())
    environment = {"python": "3", "torch": "2", "device": "cpu", "device_name": "x", "threads": 1, "platform": "y"}
    dataset = {"name": "x", "source": "x", "train_samples": 60_000, "validation_samples": 1, "sha256": "0" * 64}
    described = {**config.to_dict(), "command": config.to_command()}
    arms = build_arms(config.arms)
    layers = {"batch": {"norm1": 32, "norm2": 32}}
    recorder.take(e.Started("2026-01-01T00:00:00+00:00", described, environment, dataset, arms, layers,
                            STEPS_PER_EPOCH, steps))  # fmt: skip
    step = 0
    while step < steps:
        before, step = step, min(steps, step + STEPS_PER_EVENT)
        losses = tuple(1 / i for i in range(before + 1, step + 1))
        recorder.take(e.Stepped(step, 1, {arm.name: losses for arm in arms}, float(step)))
        for epoch in range(before // STEPS_PER_EPOCH + 1, step // STEPS_PER_EPOCH + 1):
            read = {arm.name: e.Metrics((i + 1) / step, 0.9 - i / 10) for i, arm in enumerate(arms)}
            recorder.take(e.EpochEnded(epoch, step, 0.01, 1.0, 1.0, read, read))
            row = tuple(float(i * step) for i in range(32))
            statistics = tuple(e.LayerStatistics(name, row, row, row, row, row, row) for name in layers["batch"])
            recorder.take(e.NormalizationRead(epoch, step, {"batch": statistics}))
    recorder.take(e.Finished("completed", steps, {arm.name: "0" * 64 for arm in arms}, 1.0))
    recorder.write_results()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main(int(sys.argv[1]))

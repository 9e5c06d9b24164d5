from __future__ import annotations

import pytest
import torch

from bntui.training import batch_metrics
from bntui.training.batch_metrics import BatchMetrics


@pytest.mark.parametrize("most", [1, 300, 1 << 22])
def test_they_are_those_of_each_batch_also_if_its_size_changes(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(batch_metrics, "MOST_LOGITS", most)
    generator = torch.Generator().manual_seed(1)
    metrics = BatchMetrics(["a", "b", "c"])
    assert metrics.take() is None
    for sizes in ([7, 7, 7, 3, 3, 100], [100], [6, 7]):
        losses, accuracies = [], []
        for size in sizes:
            logits = [torch.rand(size, 10, generator=generator) for _ in "abc"]
            y = torch.randint(10, (size,), generator=generator)
            loss = torch.rand(3, generator=generator)
            metrics.add(loss, logits, y)
            losses.append(loss.tolist())
            accuracies.append([sum(int(row.argmax()) == int(k) for row, k in zip(of, y, strict=True)) / size
                               for of in logits])  # fmt: skip
        assert metrics.take() == tuple(
            {name: tuple(row[i] for row in rows) for i, name in enumerate("abc")} for rows in (losses, accuracies)
        )
        assert metrics.take() is None


def test_few_logits_wait_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_metrics, "MOST_LOGITS", 1_000)
    metrics = BatchMetrics("ab")
    for _ in range(50):
        metrics.add(torch.zeros(2), [torch.zeros(8, 10)] * 2, torch.zeros(8, dtype=torch.int64))
        assert sum(logits.numel() for logits in metrics._logits) < 1_000
    taken = metrics.take()
    assert taken is not None and taken[1] == {"a": (1.0,) * 50, "b": (1.0,) * 50}

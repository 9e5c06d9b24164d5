from __future__ import annotations

import torch
from torch.utils.data import DataLoader, TensorDataset

from bntui.data.order import DataOrder
from bntui.data.samples import Samples, batches


def test_the_order_is_a_dataloaders() -> None:
    dataset = TensorDataset(torch.arange(103))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    train = DataLoader(dataset, 10, shuffle=True, drop_last=True)
    validation = DataLoader(dataset, 10)
    expected = []
    for _ in range(3):
        expected.append(torch.cat([x for (x,) in train]))
        for loader in (train, validation):
            for _ in loader:
                pass
    generator = torch.Generator()
    generator.set_state(state)
    order = DataOrder(generator)
    for loaded in expected:
        assert torch.equal(order.next_epoch(103)[:100], loaded)
        order.skip_evaluation()


def test_batches_are_whole_and_in_order() -> None:
    samples = Samples(torch.arange(0, 230, dtype=torch.uint8).repeat_interleave(784).view(230, 784), torch.arange(230))
    order = torch.randperm(230)
    seen = list(batches(samples, order, 7))
    assert [len(y) for _, y in seen] == [7] * 32
    assert torch.equal(torch.cat([y for _, y in seen]), order[:224])
    for x, y in seen:
        assert x.dtype == torch.float32
        assert torch.equal(x, (y.to(torch.float32) / 255)[:, None].expand(-1, 784))
    assert [len(y) for _, y in batches(samples, order, 100)] == [100, 100]

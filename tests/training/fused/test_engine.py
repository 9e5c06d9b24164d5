from __future__ import annotations

import torch

from bntui.config.options import ACTIVATIONS, RunConfig
from bntui.models import mlp
from bntui.models.arms import modules
from bntui.models.dropout import SeededDropout
from bntui.training.fused.engine import FusedEngine, can_train

CPU = torch.device("cpu")


def test_the_models_stay_usable_and_their_parameters_are_views_of_one_vector() -> None:
    config = RunConfig()
    arms = mlp.build(config, CPU)
    before = arms.hashes()
    engine = FusedEngine(arms, config.optimizer, config.lr)
    assert arms.hashes() == before
    engine.parameters.values.zero_()
    assert not any(p.any() for model in arms.by_name.values() for p in model.parameters())


def test_every_net_of_the_options_can_be_trained() -> None:
    every = "batch,batch-renorm,layer,group:4,instance,none"
    for activation in ACTIVATIONS:
        arms = mlp.build(RunConfig(activation=activation, dropout=0.1, arms=every), CPU)
        assert can_train(arms.by_name) == ""
        assert all(any(modules(model, SeededDropout)) for model in arms.by_name.values())

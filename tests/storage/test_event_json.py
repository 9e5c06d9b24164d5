from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.config.parsers import arms
from bntui.messages import events as e
from bntui.messages.arms import build_arms
from bntui.storage.event_json import from_dict, to_dict

METRICS = {"batch": e.Metrics(0.5, 0.9), "none": e.Metrics(math.inf, 0.1)}
ARMS = build_arms(arms("batch,none"))
LAYER = e.LayerStatistics("norm1", (0.0,), (1.0,), (math.nan,), (2.0,), (1.0,), (0.0,))

EXAMPLES: list[e.Event] = [
    e.Loading("reading", 1, 2, "files"),
    e.Notice("MNIST can't be had"),
    e.Started("2026-01-01T00:00:00+00:00", {"lr": 0.1, "hidden": [3]}, {}, {"name": "synthetic"},
              ARMS, {"batch": {"norm1": 3}}, 5, 50),
    e.Stepped(4, 2, {"batch": (1.0, 2.0), "none": (3.0, 4.0)}, 0.5),
    e.Stepped(1, 1, {"batch": (1.0,), "none": (2.0,)}, 0.5, {"batch": (0.5,), "none": (math.nan,)}),
    e.Evaluating(4, 1, 2),
    e.Evaluated(1, 4, 256, 0.01, METRICS),
    e.EpochEnded(1, 5, 0.1, 1.0, 2.0, METRICS, METRICS),
    e.FlowRead(1, 5, {"batch": (e.LayerFlow("linear1", 1.0, 2.0, (1.0,) * 3, 0.5, (), (1.0,) * 25, math.nan),)}),
    e.NormalizationRead(1, 5, {"batch": (LAYER,)}),
    e.Paused(3),
    e.Resumed(3),
    e.Intervened(3, 1, "learning_rate", 0.1, 0.2),
    e.Intervened(3, 1, "stop", None, None),
    e.Alert(3, "none", "diverged", "no longer a number"),
    e.Restarted(3),
    e.Hashed(3, {"batch": "00", "none": "11"}, 1.0),
    e.Finished("completed", 50, {"batch": "00", "none": "11"}, 1.0),
]  # fmt: skip


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_an_event_survives_json(event: e.Event) -> None:
    text = json.dumps(to_dict(event), allow_nan=False)
    assert to_dict(from_dict(json.loads(text))) == json.loads(text)


def test_what_is_not_finite_is_null_and_comes_back_as_nan() -> None:
    written = to_dict(e.Stepped(1, 1, {"a": (math.nan,), "b": (math.inf,)}, 0.0))
    assert written["losses"] == {"a": [None], "b": [None]}
    read = from_dict(written)
    assert isinstance(read, e.Stepped)
    assert math.isnan(read.losses["a"][0])
    assert math.isnan(read.losses["b"][0])


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"event": "Nothing"},
        {"event": "Paused"},
        {"event": "Paused", "step": "3"},
        {"event": "Paused", "step": True},
        {"event": "Paused", "step": 3, "more": 1},
        {"event": "Stepped", "step": 1, "width": 1, "losses": {"a": 2.0}, "seconds": 0},
        {"event": "EpochEnded", "epoch": 1, "step": 1, "lr": 1, "train_seconds": 1, "eval_seconds": 1, "train": [],
         "validation": []},
        {"event": "Intervened", "step": 1, "epoch": 1, "action": "bn", "before": [], "after": None},
    ],
)  # fmt: skip
def test_what_is_no_event_is_a_value_error(data: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        from_dict(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "step",
    "width",
    "losses",
    "arms",
    "seconds",
    "epoch",
    "layers",
    "train",
    "message",
    "status",
    "layers",
    "config",
]


@given(
    st.sampled_from([type(event).__name__ for event in EXAMPLES]),
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=7),
)
def test_any_object_is_an_event_or_a_value_error(kind: str, data: dict[str, object]) -> None:
    try:
        event = from_dict({"event": kind, **data})
    except ValueError:
        return
    assert type(event).__name__ == kind

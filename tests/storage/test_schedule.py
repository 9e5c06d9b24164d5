from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.errors import UsageError
from bntui.messages.control import Change, Stop
from bntui.storage.schedule import read_interventions


def write(path: Path, rows: object) -> str:
    path.write_text(json.dumps({"schema": "bntui.results/2", "interventions": rows}))
    return str(path)


def row(step: int, action: str, to: object) -> dict[str, object]:
    return {"step": step, "epoch": 1, "action": action, "from": None, "to": to}


def test_what_changes_numbers_becomes_a_command(tmp_path: Path) -> None:
    rows = [
        row(0, "restart", 0), row(1, "pause", True), row(1, "bn", False), row(2, "learning_rate", 1),
        row(2, "freeze", True), row(3, "step", 4), row(4, "resume", False), row(5, "export", None),
        row(9, "stop", None),
    ]  # fmt: skip
    expected = [(1, Change("bn", False)), (2, Change("learning_rate", 1.0)), (2, Change("freeze", True)), (9, Stop())]
    assert read_interventions(write(tmp_path / "results.json", rows)) == expected
    assert read_interventions(str(tmp_path)) == expected


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["step", "action", "to", "epoch"]),
            st.none() | st.integers(-2, 9) | st.sampled_from(["bn", "freeze", "learning_rate", "x"]) | st.booleans(),
        )
        | st.none()
        | st.integers(),
        max_size=4,
    )
)
def test_any_rows_are_a_schedule_or_an_error(tmp_path_factory: pytest.TempPathFactory, rows: object) -> None:
    file = write(tmp_path_factory.getbasetemp() / "rows.json", rows)
    try:
        schedule = read_interventions(file)
    except UsageError as error:
        assert "is damaged" in str(error)
    else:
        assert all(step >= 0 for step, _ in schedule)

from __future__ import annotations

import pytest

from bntui.errors import UsageError
from bntui.tui.keys import KEYS, bind, bindings, spell


def test_without_a_wish_the_table_is_the_table() -> None:
    assert bind({}) == KEYS


def test_an_action_gets_other_keys_and_the_others_keep_theirs() -> None:
    table = {key.name: key for key in bind({"pause": "f5 .", "step": "p", "repaint": ""})}
    assert table["pause"].keys == ("f5", ".")
    assert table["step"].keys == ("p",)
    assert table["repaint"].keys == ()
    assert [key.keys for key in KEYS if key.name == "quit"] == [table["quit"].keys]
    bound = {binding.id: binding.key for binding in bindings(tuple(table.values()))}
    assert bound["pause"] == "f5,."
    assert "repaint" not in bound


def test_a_comma_is_a_key_too() -> None:
    assert next(binding.key for binding in bindings(bind({"help": ","})) if binding.id == "help") == "comma"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"puase": "a"}, "did you mean pause"),
        ({"nothing-like-it": "a"}, "there is no such action; pause, step"),
        ({"pause": "hyper+x"}, "'hyper\\+x' is no key"),
        ({"pause": "ab"}, "'ab' is no key"),
        ({"pause": "b"}, "b is bound to both pause and bn"),
        ({"interrupt": ""}, "interrupt needs a key"),
    ],
)
def test_what_can_not_be_is_told(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bind(given)


def test_keys_are_spelled_as_a_person_would() -> None:
    table = {key.name: key for key in KEYS}
    assert spell(table["pause"]) == "space p"
    assert spell(table["cursor-left"]) == "←"
    assert spell(table["cursor-left"], ascii_only=True) == "left"

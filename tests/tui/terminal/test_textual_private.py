"""What is private of Textual's is used in one file."""

from __future__ import annotations

import ast
from pathlib import Path

import textual
from textual.app import App
from textual.command import CommandPalette
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.widgets import ContentSwitcher, Input, RichLog

from bntui import tui

ROOT = Path(tui.__file__).parent
PLACES = {"terminal/textual_private.py"}
CLASSES = (App, Screen, CommandPalette, LinuxDriver, ScrollView, ContentSwitcher, Input, RichLog)


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_imports(tree: ast.AST) -> list[str]:
    """Private modules, and private names of modules, that are none of bntui's."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("bntui"):
            found += [node.module] * any(map(private, node.module.split(".")))
            found += [alias.name for alias in node.names if private(alias.name)]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if any(map(private, alias.name.split(".")))]
    return found


def names_of_textual() -> set[str]:
    """The private attributes of the classes that the app is made of, whichever they are set in."""
    source = [Path(cls.__module__.replace(".", "/") + ".py") for kind in CLASSES for cls in kind.__mro__[:-1]]
    folder = Path(textual.__file__).parents[1]
    found = set()
    for file in {folder / path for path in source if path.parts[0] == "textual"}:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                found.add(node.attr)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
    return set(filter(private, found))


def test_only_one_file_uses_what_is_private() -> None:
    theirs = names_of_textual()
    assert {"_bindings", "_driver", "_on_click"} <= theirs
    used = {}
    for file in ROOT.rglob("*.py"):
        tree = ast.parse(file.read_text())
        own = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
        own |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        read = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}
        name = str(file.relative_to(ROOT))
        used[name] = private_imports(tree) + sorted((read - own) & theirs)
    assert {name for name, what in used.items() if what} <= PLACES, used
    assert used["terminal/textual_private.py"]

"""The pages for users of ScyllaDB's other drivers: their tables say what the settings are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from pynamodb_alternator import ClusterConfig, DatacenterScope, Gzip, RackScope, Retries, Timeouts, Tls
from pynamodb_alternator.settings.values import Discovery

Groups = Mapping[str, Mapping[str, Any]]
"""The default of each setting by the name of its class and its own; `MISSING` for none."""

PAGES = [
    Path(__file__).parents[2] / "docs" / "howto" / f"from-{name}.md" for name in ("alternator-client", "go", "java")
]
pytestmark = pytest.mark.skipif(not PAGES[0].exists(), reason="the tests run on an installed package")


def groups(*kinds: type[Any]) -> Groups:
    return {kind.__name__: {setting.name: setting.default for setting in fields(kind)} for kind in kinds}


OURS = groups(ClusterConfig, DatacenterScope, Discovery, Gzip, RackScope, Retries, Timeouts, Tls)


def rows(page: Path) -> list[list[str]]:
    """The cells of the table of settings, without its head."""
    section = page.read_text(encoding="utf-8").partition("## Settings\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [cells for line in lines if len(cells := [cell.strip() for cell in line[1:-1].split("|")]) == 4][1:]


def named_in(cell: str, known: Groups, own: str) -> list[tuple[str, str]]:
    """Class and name of each setting in a cell: ``Timeouts(read, total)``, ``Tls(ca=)``; ``port`` is one of `own`."""
    named: list[tuple[str, str]] = []
    for code in re.findall(r"`([^`]*)`", cell):
        named += [(own, name) for name in re.findall(r"^([a-z_]+)(?==|$)", code)]
        for kind, arguments in re.findall(r"(\w+)\(([^()]*)", code):
            if kind in known and kind != own:
                named += [(kind, name) for name in re.findall(r"(?:^|, *)([a-z_]+) *(?==|,|$)", arguments)]
    return named


def check_defaults(page: Path, name_cell: int, default_cell: int, known: Groups, own: str) -> int:
    """Compare the numbers that a row has with the defaults of its settings. How many rows were compared."""
    compared = 0
    for cells in rows(page):
        numbers = [float(text.replace(",", "")) for text in re.findall(r"\d[\d,]*(?:\.\d+)?", cells[default_cell])]
        defaults = [known[kind][name] for kind, name in named_in(cells[name_cell], known, own)]
        defaults = [value for value in defaults if isinstance(value, int | float) and not isinstance(value, bool)]
        if numbers and len(defaults) == len(numbers):
            compared += 1
            assert [float(value) for value in defaults] == numbers, cells
    return compared


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_our_settings_are_what_a_page_says(page: Path) -> None:
    named = {setting for cells in rows(page) for setting in named_in(cells[2], OURS, "ClusterConfig")}
    assert len(named) > 20
    assert {(kind, name) for kind, name in named if name not in OURS[kind]} == set()
    assert check_defaults(page, 2, 3, OURS, "ClusterConfig") >= 6


def test_the_settings_of_alternator_client_are_what_its_page_says() -> None:
    theirs = pytest.importorskip("alternator.config")
    kinds = [
        value for value in vars(theirs).values() if isinstance(value, type) and hasattr(value, "__dataclass_fields__")
    ]
    known = groups(*kinds)
    named = {setting for cells in rows(PAGES[0]) for setting in named_in(cells[0], known, "Config")}
    assert len(named) > 15
    assert {(kind, name) for kind, name in named if name not in known[kind]} == set()
    assert check_defaults(PAGES[0], 0, 1, known, "Config") >= 6
    assert MISSING is known["Config"]["port"]

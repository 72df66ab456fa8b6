"""docs/architecture.md says what stands."""

from __future__ import annotations

import re

import pytest

from tests import architecture

pytestmark = pytest.mark.skipif(not architecture.PAGE.exists(), reason="the tests run without the documentation")


def test_the_table_of_modules_is_what_the_modules_say() -> None:
    assert architecture.written() == architecture.table(), "run: python -m tests.architecture"


def test_what_the_page_names_exists() -> None:
    """Each `room/module.py` in the text is a file, and each name after it stands in that file."""
    text = architecture.PAGE.read_text(encoding="utf-8").partition(architecture.BEGIN)[0]
    paths = set(re.findall(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+\.py)`", text))
    assert len(paths) > 20
    missing = [
        path
        for path in paths
        if not (architecture.PACKAGE / path).is_file() and not (architecture.ROOT / path).is_file()
    ]
    assert missing == []
    for path, names in re.findall(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+\.py)`: ((?:`[\w.]+`(?:, | and )?)+)", text):
        source = (architecture.PACKAGE / path).read_text(encoding="utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            assert re.search(rf"\b{name.rpartition('.')[2]}\b", source), f"{path} has no {name}"

"""The tables of all settings are those of the code, and what they say can be written."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import pytest

from pynamodb_alternator import ClusterConfig
from pynamodb_alternator.settings.options import BLOCK_SETTINGS
from pynamodb_alternator.settings.text import IN_TEXT

from .. import settings_table

ROWS = tuple(settings_table.rows())


def test_the_page_has_the_tables() -> None:
    assert settings_table.written() == settings_table.tables(), "write it anew: python -m tests.settings_table"


def test_each_setting_says_what_it_means() -> None:
    assert [row.name for row in ROWS if not row.meaning] == []


def test_each_setting_is_on_the_page_of_its_topic_too() -> None:
    pages = (path for path in settings_table.PAGE.parent.glob("*.md") if path != settings_table.PAGE)
    words = {word for path in pages for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    assert [row.name for row in ROWS if row.name.rpartition(".")[2] not in words] == []


def test_no_name_is_left_out() -> None:
    assert {row.url for row in ROWS} - {""} == IN_TEXT.keys()
    in_meta = {*settings_table.OF_CONNECTIONS, *settings_table.OF_OUR_CONNECTIONS}
    assert settings_table.IN_META.keys() == in_meta - settings_table.OF_MODELS_ALONE
    in_blocks = {row.block.partition("=")[0] for row in ROWS} - {""}
    assert in_blocks == BLOCK_SETTINGS - {"consistent_node"}


DEFAULTS = {row.url: row.default.strip("'") for row in ROWS if row.url and row.default not in ("", "None", "()")}


@pytest.mark.parametrize("key", DEFAULTS)
def test_a_default_can_be_written_in_a_url(key: str) -> None:
    scheme = "https" if IN_TEXT[key].group == "tls" else "http"
    written = ClusterConfig.from_url(f"{scheme}://127.0.0.1:8000/?{key}={DEFAULTS[key].lower()}")
    plain = ClusterConfig.from_url(f"{scheme}://127.0.0.1:8000")
    group = IN_TEXT[key].group
    if getattr(plain, group or key) is None:  # the cluster has none of this group
        assert getattr(written, group or key) is not None
    else:
        assert written == plain


def test_the_variables_of_the_environment_are_those_that_are_read() -> None:
    class Watched(dict[str, str]):
        asked: ClassVar[set[str]] = set()

        def get(self, name: str, default: Any = None) -> Any:
            self.asked.add(name)
            return super().get(name, default)

    ClusterConfig.from_env(Watched(ALTERNATOR_URL="http://127.0.0.1:8000"))
    assert {row.environment for row in ROWS} - {""} == Watched.asked

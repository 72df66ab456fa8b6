"""Generated functions and what tracebacks show of them, where models are made at run time."""

from __future__ import annotations

import linecache

from pynamodb_alternator.orm import generated
from pynamodb_alternator.orm.generated import Source


def made(text: str, title: str) -> object:
    source = Source()
    source.add("def f():", f"    return {text!r}")
    return source.functions(title)["f"]


def test_the_lines_that_are_kept_are_bounded() -> None:
    before = len(linecache.cache)
    for number in range(3000):
        function = made(f"tenant {number}", "loader of app.Tenant")
        assert function() == f"tenant {number}"  # type: ignore[operator]
    assert len(linecache.cache) - before <= generated._MOST_KEPT
    # The last one's are still told.
    filename = function.__code__.co_filename  # type: ignore[attr-defined]
    assert "tenant 2999" in "".join(linecache.getlines(filename))


def test_the_same_source_is_compiled_once() -> None:
    first, second = made("x", "loader of app.One"), made("x", "loader of app.One")
    assert first.__code__ is second.__code__  # type: ignore[attr-defined]

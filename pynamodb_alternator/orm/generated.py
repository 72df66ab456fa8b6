"""Functions that are generated for one class: their source, the objects that it names, and its lines in tracebacks.

attrs and dataclasses work in the same way: the source is made from the class's attributes, compiled, and stored for
`linecache`, so that tracebacks and debuggers show its lines.
"""

from __future__ import annotations

import builtins
import itertools
import keyword
import linecache
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType
from typing import Any

__all__ = ["Source"]

_TAKEN = frozenset({*dir(builtins), *keyword.kwlist, "get", "instance", "item", "null_check", "number", "state"})
_TAKEN |= {"end", "error", "form", "kind", "name", "text", "value", "values", "wire"}
_NUMBERED = r"(?:value|wire)_\d+"
"""Names that have another meaning in the functions."""
_MOST_KEPT = 2048
_kept: deque[str] = deque()
"""The titles of the sources that `linecache` has."""


class Source:
    """The source of some functions, while it is generated."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._indentation = ""
        self._globals: dict[str, Any] = {}

    def add(self, *lines: str) -> None:
        """Add lines with the present indentation."""
        self._lines.extend(self._indentation + line for line in lines)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Add a line that ends with a colon. Lines that are added inside of the ``with`` block are indented."""
        self.add(head)
        before, self._indentation = self._indentation, self._indentation + "    "
        yield
        self._indentation = before

    def name(self, wish: str, value: Any) -> str:
        """The name by which the functions use the object: `wish`, or a similar name if `wish` is in use."""
        is_free = wish.isidentifier() and wish.isascii() and not re.fullmatch(_NUMBERED, wish)
        base = wish if is_free else "unnamed"
        name, number = base, 2
        while name in _TAKEN or self._globals.get(name, value) is not value:
            name, number = f"{base}_{number}", number + 1
        self._globals[name] = value
        return name

    def functions(self, title: str) -> dict[str, Any]:
        """Compile the source, and return the functions by their names. `title`: the name of the file in tracebacks."""
        # Each source has a namespace of its own, in which its functions see each other.
        namespace = dict(self._globals)
        exec(_compiled("\n".join(self._lines) + "\n", title), namespace)
        return namespace


_numbers = itertools.count(2)


@lru_cache(maxsize=1024)
def _compiled(text: str, title: str) -> CodeType:
    filename = f"<{title}>"
    if filename in linecache.cache:
        # There is another source with this title: of another class with this name, or of the class before a change.
        filename = f"<{title}, {next(_numbers)}>"
    code = compile(text, filename, "exec")
    # The time of change is None, so that `linecache.checkcache` keeps the entry.
    linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
    _kept.append(filename)
    if len(_kept) > _MOST_KEPT:
        # Models may be made at run time, for example one for each tenant. The oldest sources are removed.
        linecache.cache.pop(_kept.popleft(), None)
    return code

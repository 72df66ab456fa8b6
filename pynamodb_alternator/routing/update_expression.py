"""A small parser of UpdateExpression, which answers two questions about an update.

Does the server need to read the item before it writes (`needs_read`)? And may the update be applied a second time
without changing the result (`may_repeat`)?

The grammar is that of the server (``alternator/expressions.g``): keywords in any case, names of letters, digits and
underscores, ``#name`` and ``:value`` references. Aliases need not be resolved for the first question: ``#n`` is always
one step of a path, even if the name that it stands for has a dot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

__all__ = ["UNPARSABLE", "UpdateAnalysis", "analyse"]

Path = tuple[str, ...]
"""The steps of a path. The index of a list is written with its bracket, as in ``"[3"``, which cannot be a name."""

_TOKEN = r"[ \t\r\n]*(?:([A-Za-z][A-Za-z0-9_]*|[#:][A-Za-z0-9_]+|[0-9]+|[.,=+()\[\]-])|\Z)"
_KEYWORDS = frozenset({"SET", "REMOVE", "ADD", "DELETE"})
_RESERVED = _KEYWORDS | {"AND", "OR", "NOT", "BETWEEN", "IN"}
_MAX_DEPTH = 100
_MAX_CACHED_LENGTH = 4096
"""The longest expression that DynamoDB allows. A longer one is not cached."""


class UpdateAnalysis(NamedTuple):
    """What an UpdateExpression does. Its ``#`` and ``:`` references are not resolved.

    `needs_read`: the server reads the item first. `repeatable`: a second application changes nothing, provided that
    the values in `added` are sets, and that the two paths of each pair in `defaults` are the same one.
    """

    needs_read: bool
    repeatable: bool
    added: tuple[str, ...] = ()
    defaults: tuple[tuple[Path, Path], ...] = ()

    def may_repeat(self, names: Mapping[Any, Any], values: Mapping[Any, Any]) -> bool:
        """Whether a second application changes nothing.

        `names`, `values`: the request's ExpressionAttributeNames and ExpressionAttributeValues.
        """
        if not self.repeatable:
            return False
        # A second ADD of the same elements does not change a set, but it changes a number.
        if any(not is_set(values.get(reference)) for reference in self.added):
            return False
        return all(_resolved(target, names) == _resolved(tested, names) for target, tested in self.defaults)


UNPARSABLE = UpdateAnalysis(needs_read=True, repeatable=False)
"""For an expression that cannot be parsed: the answers that are always safe."""


def is_set(value: object) -> bool:
    """Whether an attribute value such as ``{"SS": [...]}`` is a set."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in ("SS", "NS", "BS")


def analyse(expression: object) -> UpdateAnalysis:
    """What the expression does; `UNPARSABLE` if the server would refuse it. Results are cached by the text."""
    if type(expression) is str and len(expression) <= _MAX_CACHED_LENGTH:
        return _cached(expression)
    return _parsed(str(expression)) if isinstance(expression, str) else UNPARSABLE


def _resolved(path: Path, names: Mapping[Any, Any]) -> tuple[Any, ...]:
    return tuple(names.get(step, step) if step.startswith("#") else step for step in path)


class _SyntaxError(Exception):
    """The text is not an UpdateExpression."""


def _parsed(expression: str) -> UpdateAnalysis:
    try:
        return _Parser(_tokens(expression)).update()
    except _SyntaxError:
        return UNPARSABLE


_cached = lru_cache(maxsize=1024)(_parsed)


def _tokens(expression: str) -> list[str]:
    tokens: list[str] = []
    place, pattern = 0, re.compile(_TOKEN)
    while True:
        match = pattern.match(expression, place)
        if match is None:
            raise _SyntaxError
        if match.group(1) is None:
            tokens.append("")  # the end
            return tokens
        tokens.append(match.group(1))
        place = match.end()


class _Value(NamedTuple):
    """The right side of a SET, or a part of it."""

    reads: bool = False
    """Whether it contains a path."""
    default_of: Path | None = None
    """The path, if this is ``if_not_exists(path, <constant>)``."""


_CONSTANT = _Value()
_READS = _Value(reads=True)


class _Parser:
    """A parser by recursive descent. Its methods have the names of the grammar's rules."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._place = 0
        self._needs_read = False
        self._repeatable = True
        self._added: list[str] = []
        self._defaults: list[tuple[Path, Path]] = []

    def update(self) -> UpdateAnalysis:
        seen: set[str] = set()
        while self._next:
            clause = self._take().upper()
            # The server allows each clause once, and refuses an expression without a clause.
            if clause not in _KEYWORDS or clause in seen:
                raise _SyntaxError
            seen.add(clause)
            self._action(clause)
            while self._skip(","):
                self._action(clause)
        if not seen:
            raise _SyntaxError
        return UpdateAnalysis(self._needs_read, self._repeatable, tuple(self._added), tuple(self._defaults))

    def _action(self, clause: str) -> None:
        path = self._path()
        if len(path) > 1:
            # The server stores a top-level attribute as a whole, so it must read the attribute to change a part of it.
            self._needs_read = True
            if any(step.startswith("[") for step in path):
                # An index after the end appends an element, and the removal of an element changes the indexes of
                # others.
                self._repeatable = False
        if clause == "SET":
            self._expect("=")
            self._set_right_side(path)
        elif clause in ("ADD", "DELETE"):
            self._needs_read = True
            value = self._take()
            if not value.startswith(":"):
                raise _SyntaxError
            if clause == "ADD":
                self._added.append(value)

    def _set_right_side(self, target: Path) -> None:
        value = self._value(0)
        if self._next in ("+", "-"):
            self._take()
            reads = self._value(0).reads or value.reads
            value = _READS if reads else _CONSTANT
        if value.default_of is not None:
            self._defaults.append((target, value.default_of))
        elif value.reads:
            self._repeatable = False
        self._needs_read = self._needs_read or value.reads

    def _value(self, depth: int) -> _Value:
        if self._next.startswith(":"):
            self._take()
            return _CONSTANT
        if not (self._tokens[self._place + 1 : self._place + 2] == ["("] and self._is_name(self._next)):
            self._path()
            return _READS
        if depth == _MAX_DEPTH:
            raise _SyntaxError
        function = self._take()
        self._expect("(")
        start = self._place
        parameters = [self._value(depth + 1)]
        first_path = tuple(self._tokens[start : self._place])
        while self._skip(","):
            parameters.append(self._value(depth + 1))
        self._expect(")")
        if not any(parameter.reads for parameter in parameters):
            return _CONSTANT
        reads_only_a_path = "(" not in first_path and [parameter.reads for parameter in parameters] == [True, False]
        if function == "if_not_exists" and reads_only_a_path:
            return _Value(reads=True, default_of=_steps(first_path))
        return _READS

    def _path(self) -> Path:
        start = self._place
        self._path_component()
        while True:
            if self._skip("."):
                self._path_component()
            elif self._skip("["):
                if not self._take().isdigit():
                    raise _SyntaxError
                self._expect("]")
            else:
                return _steps(tuple(self._tokens[start : self._place]))

    def _path_component(self) -> None:
        token = self._take()
        if not (token.startswith("#") or self._is_name(token)):
            raise _SyntaxError

    @staticmethod
    def _is_name(token: str) -> bool:
        return token[:1].isalpha() and token.upper() not in _RESERVED

    @property
    def _next(self) -> str:
        return self._tokens[self._place]

    def _take(self) -> str:
        token = self._tokens[self._place]
        if not token:
            raise _SyntaxError
        self._place += 1
        return token

    def _skip(self, token: str) -> bool:
        if self._tokens[self._place] != token:
            return False
        self._place += 1
        return True

    def _expect(self, token: str) -> None:
        if not self._skip(token):
            raise _SyntaxError


def _steps(tokens: tuple[str, ...]) -> Path:
    steps: list[str] = []
    for before, token in zip(("", *tokens), tokens, strict=False):
        if token not in (".", "[", "]"):
            steps.append(f"[{token}" if before == "[" else token)
    return tuple(steps)

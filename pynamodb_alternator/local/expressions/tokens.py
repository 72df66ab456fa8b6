"""The words and signs of an expression."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..answers import validation

MOST_BYTES = 4096
"""The longest expression that the server accepts, in bytes."""

_KEYWORDS = frozenset(["SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "BETWEEN", "IN"])
_TOKEN = re.compile(
    r"[ \t\r\n]*(?:(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<reference>[#:][A-Za-z0-9_]+)|(?P<number>[0-9]+)"
    r"|(?P<sign><>|<=|>=|[=<>+\-,.()\[\]]))"
)


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is ``name``, ``reference``, ``number``, ``sign``, ``end``, or a keyword in capitals."""

    kind: str
    text: str
    position: int


def tokens(text: object, what: str) -> list[Token]:
    """The tokens of `text`. The last one is of the kind ``end``.

    `what` is the parameter's name, such as ``ConditionExpression``. Raises `DialectError` for text that cannot be a
    token, for an empty expression, and for an expression that is too long.
    """
    if not isinstance(text, str):
        raise validation(f"{what} must be a string")
    if not text:
        raise validation(f"Invalid {what}: the expression can not be empty; syntax error")
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MOST_BYTES:
        raise validation(f"Invalid {what}: expression size {size} exceeds allowed maximum {MOST_BYTES}.")
    result: list[Token] = []
    position = 0
    while match := _TOKEN.match(text, position):
        kind = str(match.lastgroup)
        word, start = match[kind], match.start(kind)
        if kind == "name" and word.upper() in _KEYWORDS:
            kind = word.upper()
        result.append(Token(kind, word, start))
        position = match.end()
    if text[position:].strip(" \t\r\n"):
        raise syntax_error(what, text)
    result.append(Token("end", "", len(text)))
    return result


def syntax_error(what: str, text: str, why: str = "syntax error") -> Exception:
    """The error for an expression that cannot be parsed, with the server's message."""
    return validation(f"Failed parsing {what} '{text}': {why}")

"""What a query of Prometheus asks for: the metrics, and the labels by which it selects and groups.

It reads what our dashboard, alerts and documentation have: selectors, functions, `by (...)`, durations and arithmetic.
"""

from __future__ import annotations

import re
from typing import NamedTuple

METRIC = "alternator_client_"
FUNCTIONS = {"histogram_quantile", "increase", "max", "rate", "sum", "topk"}

_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*(?:\{([^{}]*)\})?\s*(\[[^\]]*\])?")
_MATCHER = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*(?:,|$)')
_GROUPING = re.compile(r"\b(?:by|without)\s*\(([^()]*)\)")


class Matcher(NamedTuple):
    """One condition of a selector, such as ``state="down"``."""

    label: str
    operator: str
    value: str


class Selector(NamedTuple):
    """A metric that a query asks for. `window`: the text in brackets behind it, if there is one."""

    metric: str
    matchers: tuple[Matcher, ...]
    window: str


class Query(NamedTuple):
    """`grouping`: the labels by which it groups. `functions`: the names that are called."""

    selectors: tuple[Selector, ...]
    grouping: frozenset[str]
    functions: frozenset[str]


def parse(text: str) -> Query:
    """Raises ValueError for what is not balanced, and a word that is neither a metric of ours nor a known function."""
    if text.count("(") != text.count(")") or text.count("{") != text.count("}") or text.count('"') % 2:
        raise ValueError(f"brackets or quotes are not balanced: {text}")
    grouping: set[str] = set()
    for labels in _GROUPING.findall(text):
        grouping.update(label.strip() for label in labels.split(","))
    rest = _GROUPING.sub("", text)
    selectors, functions = [], set()
    for name, matchers, window in _SELECTOR.findall(rest):
        if name.startswith(METRIC):
            selectors.append(Selector(name, _matchers(matchers), window))
        elif name in FUNCTIONS:
            functions.add(name)
        else:
            raise ValueError(f"{name!r} is neither a metric of ours nor a known function: {text}")
    if not selectors:
        raise ValueError(f"it asks for no metric: {text}")
    return Query(tuple(selectors), frozenset(grouping), frozenset(functions))


def _matchers(text: str) -> tuple[Matcher, ...]:
    matchers, place = [], 0
    while place < len(text.rstrip()):
        match = _MATCHER.match(text, place)
        if match is None:
            raise ValueError(f"not a condition on a label: {text[place:]!r}")
        matchers.append(Matcher(*match.groups()))
        place = match.end()
    return tuple(matchers)

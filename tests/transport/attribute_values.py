"""Attribute values for hypothesis, of given texts and blobs."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def scalars(texts: st.SearchStrategy[str], blobs: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values of every type but maps and lists."""
    return st.one_of(
        texts.map(lambda value: {"S": value}),
        (st.integers() | st.decimals(allow_nan=False, allow_infinity=False)).map(lambda value: {"N": str(value)}),
        blobs.map(lambda value: {"B": value}),
        st.booleans().map(lambda value: {"BOOL": value}),
        st.just({"NULL": True}),
        st.lists(texts, max_size=3).map(lambda value: {"SS": value}),
        st.lists(st.integers().map(str), max_size=3).map(lambda value: {"NS": value}),
        st.lists(blobs, max_size=3).map(lambda value: {"BS": value}),
    )


def nested(leaves: st.SearchStrategy[Any], names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """`leaves`, and maps and lists of them; `names` are the keys of maps."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda value: {"L": value})
            | st.dictionaries(names, inner, max_size=3).map(lambda value: {"M": value})
        ),
        max_leaves=8,
    )

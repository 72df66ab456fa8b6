"""Tags of tables: TagResource, UntagResource, ListTagsOfResource, and the checks of a tag."""

from __future__ import annotations

import re

from . import isolation
from .answers import Answer, json_answer, validation
from .catalogue import MOST_TAGS, Catalogue, table_of
from .parsing import Parsed, Rule

_PUBLIC = (isolation.TAG, "system:initial_tablets")
_TEXT = re.compile(r"[A-Za-z0-9\s+\-=._:/]*", re.ASCII)


class TagRules:
    """The operations on tags."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def rules(self) -> dict[str, Rule]:
        return {"TagResource": self._tag, "UntagResource": self._untag, "ListTagsOfResource": self._list}

    def _table(self, parsed: Parsed) -> str:
        table = table_of(parsed.parameters.get("ResourceArn"))
        self._catalogue.existing(table)
        return table

    def _tag(self, parsed: Parsed) -> Answer:
        table = self._table(parsed)
        tags = parsed.parameters.get("Tags")
        if not isinstance(tags, list) or not tags:
            raise validation("The number of tags must be at least 1")
        self._catalogue.add_tags(table, read_tags(tags))
        return Answer(200, b"")

    def _untag(self, parsed: Parsed) -> Answer:
        table = self._table(parsed)
        keys = parsed.parameters.get("TagKeys")
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise validation("TagKeys must be a list of strings")
        for key in keys:
            _check_public(key)
        self._catalogue.remove_tags(table, keys)
        return Answer(200, b"")

    def _list(self, parsed: Parsed) -> Answer:
        tags = self._catalogue.existing(self._table(parsed)).tags
        return json_answer({"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]})


def read_tags(entries: object) -> dict[str, str]:
    """A request's list of tags as a mapping. Raises `DialectError` for a tag that the server refuses."""
    tags: dict[str, str] = {}
    if entries is not None and not isinstance(entries, list):
        raise validation("Tags must be a list")
    for tag in entries or ():
        key, value = (tag.get("Key"), tag.get("Value")) if isinstance(tag, dict) else (None, None)
        if not isinstance(key, str) or not isinstance(value, str):
            raise validation("Each tag must have a Key and a Value, both strings")
        if not key:
            raise validation("A tag Key cannot be empty")
        _check_text("Key", key, 128)
        _check_public(key)
        _check_text("Value", value, 256)
        if key == isolation.TAG and value not in isolation.MODES:
            raise validation(f"Incorrect write isolation tag {value}. Allowed values: {isolation.allowed()}")
        tags[key] = value
    if len(tags) > MOST_TAGS:
        raise validation("Number of Tags exceed the current limit for the provided ResourceArn")
    return tags


def _check_public(key: object) -> None:
    """Raises `DialectError` for a tag that the server uses itself, for example for the time to live."""
    if isinstance(key, str) and key.startswith("system:") and key not in _PUBLIC:
        raise validation(f"Tag key '{key}' is reserved for internal use")


def _check_text(what: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise validation(f"A tag {what} is limited to {longest} characters")
    if not _TEXT.fullmatch(text):
        raise validation(f"A tag {what} can only contain letters, spaces, and [+-=._:/]")

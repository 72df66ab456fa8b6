"""Reads botocore's description of the DynamoDB service, once for all clusters of a process.

botocore's own loader reads it once for each session, and searches the folders of all services before. Here the text of
the files is cached for the process. Each loader, which belongs to one session, parses the text: so a change of a
service model affects only this session, as with botocore's loader. orjson parses the text faster than Python would copy
a parsed description.

There is no lock. If several threads need the file for the first time, all of them read it, which takes a millisecond,
and one result is kept. A lock could stay locked for ever: in a child that was forked meanwhile, or in a process that
gevent patches after a thread has locked it.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from botocore.exceptions import DataNotFoundError
from botocore.loaders import ExtrasProcessor, JSONFileLoader, Loader

__all__ = ["SERVICE", "ServiceLoader"]

SERVICE = "dynamodb"

_read: dict[tuple[tuple[str, ...], tuple[str, ...], str, str], tuple[bytes, ...]] = {}
"""The texts of the description and its extras, by search paths, kinds of extras, type of description and API
version."""


class ServiceLoader(Loader):
    """A loader of botocore that takes the descriptions of DynamoDB from the texts that the process has cached.

    For other services it is botocore's loader. Threads may share it.
    """

    def __init__(self, search_paths: Sequence[str]) -> None:
        super().__init__(extra_search_paths=list(search_paths), include_default_search_paths=False)
        self._copies: dict[tuple[str, str], Any] = {}

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """The description of a service: ``service-2``, ``paginators-1``, ``waiters-2`` and so on.

        `api_version`: None for the newest. Raises `DataNotFoundError` if there is none.
        """
        if service_name == SERVICE:
            # If it is not found, botocore's loader does not find it either, and its error tells the existing names.
            with contextlib.suppress(DataNotFoundError):
                return self._copy_of(type_name, api_version or self.determine_latest_version(SERVICE, type_name))
        return super().load_service_model(service_name, type_name, api_version)

    def _copy_of(self, type_name: str, api_version: str) -> Any:
        copy = self._copies.get((type_name, api_version))
        if copy is None:
            # boto3 adds a search path of its own, which has the descriptions of its resources.
            paths, extras = tuple(self.search_paths), tuple(self.extras_types)
            key = (paths, extras, type_name, api_version)
            texts = _read.get(key)
            if texts is None:
                texts = _read.setdefault(key, _texts(*key))
            copy = self._copies.setdefault((type_name, api_version), _parsed(texts))
        return copy


def _texts(
    paths: tuple[str, ...], extras_types: tuple[str, ...], type_name: str, api_version: str
) -> tuple[bytes, ...]:
    """The files that botocore's `load_service_model` reads after it has looked at the folders of all services."""
    # This loader is used only here, so its caches are freed.
    loader = Loader(extra_search_paths=list(paths), file_loader=_TextLoader(), include_default_search_paths=False)
    name = os.path.join(SERVICE, api_version, type_name)
    texts = [loader.load_data(name)]
    for kind in extras_types:
        with contextlib.suppress(DataNotFoundError):  # few services have any
            texts.append(loader.load_data(f"{name}.{kind}-extras"))
    return tuple(texts)


class _TextLoader(JSONFileLoader):
    """Finds and unpacks the files as botocore does, and does not parse them."""

    def _load_file(self, full_path: str, open_method: Callable[..., Any]) -> bytes | None:
        if not os.path.isfile(full_path):
            return None
        with open(full_path, "rb") as file:
            text = file.read()
        # The file object of gzip would unpack it in many pieces.
        return gzip.decompress(text) if full_path.endswith(".gz") else text


def _parsed(texts: tuple[bytes, ...]) -> Any:
    description, *extras = map(_loads, texts)
    ExtrasProcessor().process(description, extras)
    return description


def _loads(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)  # it accepts NaN, as botocore's loader does, or raises a helpful error

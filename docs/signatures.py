"""How signatures, types and lists of arguments look in the reference: without what only the code has a name for."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import re
from collections.abc import Callable
from typing import Any

from docutils import nodes
from sphinx.addnodes import desc_parameter, desc_sig_name, desc_signature
from sphinx.application import Sphinx

GIVEN = frozenset(
    {
        "AlternatorModels",
        "AlternatorSignals",
        "AsyncBatchWrite",
        "AsyncIndex",
        "AsyncInstance",
        "AsyncItems",
        "AsyncModel",
        "AsyncResults",
        "AsyncVectorIndex",
        "AsyncVectors",
        "BatchWrite",
        "Fault",
        "Finding",
        "KeyPair",
        "KeyRoute",
        "LocalNode",
        "Logging",
        "NodeInfo",
        "NodeStats",
        "OpenTelemetry",
        "ProcessNode",
        "Prometheus",
        "Received",
        "Scored",
        "SharedModels",
        "SignalEvent",
        "TlsFiles",
        "Topology",
        "VectorResults",
    }
)
"""Classes whose instances users get and never make: they have attributes, and no arguments."""

_DEFAULTS = {"=<factory>": "=...", "NotGiven.NOT_GIVEN": "...", ", **others": ""}
_TYPES = {
    "[~_P]": "...",
    "~_P": "Any",
    "_T": "Any",
    "_M": "Model",
    "_I": "Model",
    "_Key": "Any",
    "_LastKey": "Mapping[str, Any]",
    "dataclasses.InitVar[float | None]": "float | None",
    " | ~pynamodb_alternator.settings.options.NotGiven": "",
    " | NotGiven": "",
    "Unpack[Changes]": "Any",
    "Unpack[TextChanges]": "Any",
    "block": "ContextDecorator",
    "CanonicalNumbers": "Literal['sets'] | bool",
    "Clusters": "str | ClusterConfig | Mapping[str, str | ClusterConfig | Mapping[str, Any]]",
    "Lifespan": "Callable[[Any], AbstractAsyncContextManager[Any]]",
    "Distance": "Literal['cosine', 'euclidean', 'dot_product']",
    "SearchSchema": "Mapping[str, Literal['HASH', 'INLINE_FILTER']]",
    "Vector": "Sequence[float] | HasToList",
    "Attributes": "Sequence[str | Attribute[Any] | Path] | str | Attribute[Any] | Path",
    "Iterator[ClusterSource]": "AbstractContextManager[object]",
}
"""Types that only the code has a name for, and what is shown in their place."""
_TYPE = re.compile(
    "|".join(
        rf"(?<!\w){re.escape(name)}(?!\w)" if name[0].isalnum() or name[0] in "_~" else re.escape(name)
        for name in sorted(_TYPES, key=len, reverse=True)
    )
)


def shown_type(text: str) -> str:
    """A type as the reference shows it."""
    return _TYPE.sub(lambda match: _TYPES[match[0]], text)


def _is_made_by_users(thing: object) -> bool:
    """Whether users call the class: protocols and enumerations are not called, and neither is what they are given."""
    if not isinstance(thing, type):
        return True
    return (
        thing.__name__ not in GIVEN and not issubclass(thing, enum.Enum) and not getattr(thing, "_is_protocol", False)
    )


def process_signature(
    app: Sphinx, what: str, name: str, thing: Any, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """No arguments of what users do not make, and no defaults that only Python's own spelling has."""
    if signature and (what == "exception" or (what == "class" and not _is_made_by_users(thing))):
        return "", None
    for written, shown in _DEFAULTS.items() if signature else ():
        signature = str(signature).replace(written, shown)
    return signature, returns


def _described(signature: desc_signature) -> object:
    """What a description is of; None if it is not to be imported."""
    try:
        thing: Any = importlib.import_module(signature["module"])
        for name in signature["fullname"].split("."):
            thing = getattr(thing, name)
    except (AttributeError, ImportError, KeyError, TypeError):
        return None
    return thing


def _attributes_of(thing: object, content: nodes.Element) -> list[str]:
    """The fields of a record, or the public names of another class, that have no description of their own."""
    names = [field.name for field in dataclasses.fields(thing)] if dataclasses.is_dataclass(thing) else dir(thing)
    own = {signature["fullname"].rpartition(".")[2] for signature in content.findall(desc_signature)}
    return [name for name in getattr(thing, "_fields", names) if name not in own]


def tidy_fields(app: Sphinx, domain: str, kind: str, content: nodes.Element) -> None:
    """Fields in the order of the code; none that is private, "None", or an argument that nobody gives."""
    signature = content.parent[0] if isinstance(content.parent, nodes.Element) else None
    thing = _described(signature) if kind == "class" and isinstance(signature, desc_signature) else None
    is_made = kind != "exception" and _is_made_by_users(thing)
    attributes = _attributes_of(thing, content)
    for fields in list(content.findall(nodes.field_list)):
        kept = [field for field in fields if _tidy_field(field, is_made, attributes)]
        if signature is not None:
            kept.sort(key=_place(_arguments(signature) if is_made else attributes))
        fields.children = []
        fields.extend(kept)
        if not kept:
            fields.parent.remove(fields)


def _tidy_field(field: nodes.Element, is_made: bool, attributes: list[str]) -> bool:
    """Whether a field is shown. An argument of a record that is not made becomes an attribute."""
    kind, _, name = (
        field[0].astext().strip().rpartition(" ") if " " in field[0].astext() else (field[0].astext(), "", "")
    )
    if kind in ("param", "type") and not is_made:
        if name not in attributes:
            return False
        field[0].children = [nodes.Text(f"{'ivar' if kind == 'param' else 'vartype'} {name}")]
    if kind in ("type", "vartype", "rtype"):
        for text in list(field[1].findall(nodes.Text)):
            text.parent.replace(text, nodes.Text(shown_type(text.astext())))
    is_hidden = kind in ("param", "type") and (name.startswith("_") or name == "others")
    return not is_hidden and (kind, field[1].astext().strip()) != ("rtype", "None")


def _arguments(signature: nodes.Element) -> list[str]:
    names = (part.next_node(desc_sig_name) for part in signature.findall(desc_parameter))
    return [name.astext() for name in names if name is not None]


def _place(arguments: list[str]) -> Callable[[nodes.Element], int]:
    """Where a field goes: arguments and attributes as the code has them, then the rest."""

    def place(field: nodes.Element) -> int:
        kind, _, name = field[0].astext().strip().partition(" ")
        is_argument = kind in ("param", "type", "ivar", "vartype") and name in arguments
        return arguments.index(name) if is_argument else len(arguments)

    return place

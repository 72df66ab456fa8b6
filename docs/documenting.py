"""A Sphinx extension: it makes the reference from docstrings, and links from code in pages to the reference.

Docstrings of this project describe arguments in the text, as "`seeds`: addresses to start from." Here these become the
lists of parameters that Sphinx shows with types. Code in a page, such as `ClusterConfig(subset=8)`, becomes a link
where it names something in the reference. Signals and fixtures are described by what the code has.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import signatures
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.addnodes import desc_signature, pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject, PythonDomain
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

from pynamodb_alternator import events, pytest_plugin, signals

# ---- arguments ---------------------------------------------------------------------------------------------------

_NAMES = r"`\w+`(?:, `\w+`)*: "
_ITEM = re.compile(rf"(?:^|(?<=[.;?)] ))(?={_NAMES}|Raises [`A-Z])")
"""Where the description of an argument begins, or what comes after the last one."""


_PAGE = re.compile(r"\bdocs/([a-z/-]+)\.md\b")


def _linked(line: str) -> str:
    """A line of a docstring, in which names of pages are links."""
    return _PAGE.sub(r":doc:`docs/\1 </\1>`", line).replace("`routing.reasons`", ":doc:`routing.reasons </routing>`")


def with_parameters(lines: Iterable[str], parameters: Iterable[str], attributes: bool) -> list[str]:
    """A docstring whose descriptions of arguments are fields at its end.

    `attributes`: what is described and is not a parameter is an attribute; else it stays where it is.
    """
    text: list[str] = []
    described: list[str] = []
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        stays, fields = _split(paragraph, set(parameters), attributes)
        described += fields
        if stays:
            text += ["", *stays.splitlines()]
    return [*text[1:], "", *described, ""]


def _split(paragraph: str, parameters: set[str], attributes: bool) -> tuple[str, list[str]]:
    """The part of a paragraph that stays, and the fields that the rest becomes."""
    if paragraph.startswith((" ", "- ", ">>>", "..", ":")):
        return paragraph, []
    stays: list[str] = []
    fields: list[str] = []
    for item in _ITEM.split(" ".join(paragraph.split())):
        of_item = list(_fields(item, parameters, attributes))
        fields += of_item
        if not of_item and item:
            stays.append(item.strip())
    return (" ".join(stays), fields) if fields else (paragraph, [])


def _fields(item: str, parameters: set[str], attributes: bool) -> Iterator[str]:
    names = re.match(_NAMES, item)
    for name in re.findall(r"`(\w+)`", names[0]) if names else ():
        meaning = item[names.end() :].strip()  # type: ignore[union-attr]
        if name in parameters:
            yield f":param {name}: {meaning}"
        elif attributes:
            yield f":ivar {name}: {meaning}"


def _parameters_of(thing: object) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(thing).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ()


def _process_docstring(app: Sphinx, what: str, name: str, thing: Any, options: object, lines: list[str]) -> None:
    lines[:] = [_linked(line) for line in lines]
    if what in ("class", "exception", "function", "method"):
        lines[:] = with_parameters(lines, _parameters_of(thing), what in ("class", "exception"))


# ---- links -------------------------------------------------------------------------------------------------------

_CODE = re.compile(r"(?:pynamodb_alternator\.)?([A-Za-z]\w*(?:\.\w+)*)(\(.*\))?", re.DOTALL)
_FROM_ELSEWHERE = re.compile(
    r"(?:aiobotocore|asyncio|blinker|botocore|boto3|collections|contextlib|datetime|django|enum|fastapi|flask|httpx|"
    r"ipaddress|logging|opentelemetry|os|pathlib|prometheus_client|pynamodb|pytest|ssl|starlette|types|typing|unittest)"
    r"(?:\..*)?"
)
"""Packages with their own documentation elsewhere. The build needs no network, so it does not link there."""


class Names:
    """The objects that the reference describes, by each name that is unambiguous: `Cluster.nodes`, and
    `signals.node_down`.

    Of several with one name, that of the package itself is meant: `get_cluster` is not `aio.get_cluster`.
    """

    def __init__(self, domain: PythonDomain) -> None:
        self._by_suffix: dict[str, set[tuple[str, str, str]]] = {}
        for name, _, kind, page, anchor, _ in domain.get_objects():
            parts = name.split(".")
            for start in range(len(parts)):
                self._by_suffix.setdefault(".".join(parts[start:]), set()).add((page, anchor, kind))

    def find(self, name: str) -> tuple[str, str, str] | None:
        """Page, anchor and kind of what the name means; None if that is nothing, or more than one thing."""
        candidates = self._by_suffix.get(f"pynamodb_alternator.{name}") or self._by_suffix.get(name, ())
        return next(iter(candidates)) if len(candidates) == 1 else None

    def of_code(self, code: str) -> tuple[str, str] | None:
        """Page and anchor of the object that a piece of code names. A common word, such as `name`, names no object."""
        match = _CODE.fullmatch(code.strip())
        target = self.find(match[1]) if match else None
        if match is None or target is None or target[2] == "module":
            return None
        if "." not in match[1] and target[2] == "attribute":
            return None  # such as ACTIVE, which is a word of others too
        is_ours = match[1].startswith("alternator_") or target[2] == "data"
        if "." in match[1] or match[1][0].isupper() or is_ours or (match[2] and target[2] == "function"):
            return target[:2]
        return None


def _names(env: BuildEnvironment) -> Names:
    if not hasattr(env, "alternator_names"):
        env.alternator_names = Names(env.domains.python_domain)  # type: ignore[attr-defined]
    names: Names = env.alternator_names
    return names


class LinksOfCode(SphinxPostTransform):
    """Makes a link from code that names an object in the reference."""

    default_priority = 5

    def run(self, **_: Any) -> None:
        names = _names(self.env)
        for literal in list(self.document.findall(nodes.literal)):
            target = names.of_code(literal.astext())
            if target is None or self._is_elsewhere(literal, target) or _is_of_others(literal):
                continue
            page, anchor = target
            link = make_refnode(self.app.builder, self.env.current_document.docname, page, anchor, literal.deepcopy())
            literal.replace_self(link)

    def _is_elsewhere(self, literal: nodes.Element, target: tuple[str, str]) -> bool:
        """Whether it is in a link or a heading, or in the description of what it names."""
        parent = literal.parent
        while parent is not None:
            if isinstance(parent, nodes.reference | nodes.title | desc_signature | pending_xref):
                return True
            signature = parent.children[0] if parent.children else None
            if isinstance(signature, desc_signature) and target[1] in signature["ids"]:
                return True
            parent = parent.parent
        return False


_OF_OTHERS = re.compile(r"(?:PynamoDB|botocore|boto3|moto|Flask|Django)['\u2019]s (?:own )?$")
_AND_MORE = re.compile(r",|,? (?:and|or) ")


def _is_of_others(literal: nodes.Element) -> bool:
    """Whether the text says whose it is: PynamoDB's `Connection` and `TableConnection` are not of this package."""
    siblings = literal.parent.children
    place = siblings.index(literal)
    while (
        place >= 2
        and isinstance(siblings[place - 2], nodes.literal)
        and _AND_MORE.fullmatch(siblings[place - 1].astext())
    ):
        place -= 2
    return place > 0 and _OF_OTHERS.search(siblings[place - 1].astext()) is not None


def _resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Node | None:
    """A type in a signature that is named as its module names it."""
    target = _names(env).find(node["reftarget"].rpartition(".")[2]) if node.get("refdomain") == "py" else None
    if target is None or _FROM_ELSEWHERE.fullmatch(node["reftarget"]):
        return None
    return make_refnode(app.builder, node["refdoc"], target[0], target[1], content)


def _may_be_missing(app: Sphinx, domain: object, node: pending_xref) -> bool | None:
    """Types of other packages, and types that have no description of their own, are not links."""
    return True if node.get("refdomain") == "py" else None


# ---- signals and fixtures ----------------------------------------------------------------------------------------


def signals_text() -> Iterator[str]:
    """All signals with their events, and the fields of these, as reStructuredText."""
    yield ".. py:module:: pynamodb_alternator.signals"
    yield ""
    for signal, kind in signals.EVENTS.items():
        name = signal.name.replace("-", "_")
        yield f".. py:data:: {name}"
        yield ""
        yield f"   {inspect.getdoc(kind)} Its event is a `signals.{kind.__name__}`."
        yield ""
        yield from ("   " + line for line in _event_text(kind))
    for kind in (events.Event, events.RequestEvent, events.NodeEvent, events.ScopeEvent):
        yield from _event_text(kind)


def _event_text(kind: type[events.Event]) -> Iterator[str]:
    docs = field_docs()
    yield f".. py:class:: {kind.__name__}"
    yield ""
    if kind not in signals.EVENTS.values():
        yield f"   {inspect.getdoc(kind)}"
    else:
        yield f"   Sent with `signals.{_signal_of(kind)}`; a `{kind.__base__.__name__}`."  # type: ignore[union-attr]
    yield ""
    for field in dataclasses.fields(kind):
        yield f"   :ivar {field.name}: {docs[field.name, _owner(kind, field.name)]}"
        yield f"   :vartype {field.name}: {field.type}"
    yield ""


def _signal_of(kind: type[events.Event]) -> str:
    return next(signal.name.replace("-", "_") for signal, of in signals.EVENTS.items() if of is kind)


def _owner(kind: type[Any], field: str) -> str:
    """The class of those of an event in which a field is written."""
    return next(base.__name__ for base in kind.__mro__ if field in inspect.get_annotations(base))


def field_docs() -> Mapping[tuple[str, str], str]:
    """What the code says of a field, by the field and the class in which it is written."""
    docs = ModuleAnalyzer.for_module(events.__name__).find_attr_docs()
    return {(field, owner): _linked(" ".join(" ".join(lines).split())) for (owner, field), lines in docs.items()}


FIXTURES = tuple(name for name in pytest_plugin.__all__ if name.startswith("alternator_"))


def fixtures_text() -> Iterator[str]:
    """The fixtures of the pytest plugin, as reStructuredText."""
    yield ".. py:module:: pynamodb_alternator.pytest_plugin"
    yield ""
    for name in FIXTURES:
        fixture = getattr(pytest_plugin, name)
        yield f".. py:data:: {name}"
        yield ""
        yield from (f"   {line}" for line in (inspect.getdoc(fixture) or "").splitlines())
        yield ""
        yield f"   Scope: {_SCOPES[fixture._fixture_function_marker.scope]}. It gives: {_given_by(fixture)}."
        yield ""


_SCOPES = {"function": "a test", "module": "a module", "session": "the run"}


def _given_by(fixture: Any) -> str:
    """The type of what a test gets, as a link if it is described."""
    function = fixture._get_wrapped_function()
    returns = re.sub(r"^Iterator\[(.+)\]$", r"\1", str(inspect.signature(function).return_annotation))
    return f"`{_CLIENTS.get(function.__name__, returns)}`"


_CLIENTS = {"alternator_client": "DynamoDBClient", "alternator_async_client": "AsyncDynamoDBClient"}


class _Generated(Directive):
    """A part of the reference that is made from the code."""

    text: Any

    def run(self) -> list[nodes.Node]:
        content = StringList(list(type(self).text()), source="documenting.py")
        parent = nodes.container()
        self.state.nested_parse(content, self.content_offset, parent)
        return parent.children


class Signals(_Generated):
    text = staticmethod(signals_text)


class Fixtures(_Generated):
    text = staticmethod(fixtures_text)


def setup(app: Sphinx) -> dict[str, Any]:
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    app.add_directive("alternator-signals", Signals)
    app.add_directive("alternator-fixtures", Fixtures)
    app.add_post_transform(LinksOfCode)
    app.connect("autodoc-process-docstring", _process_docstring)
    app.connect("autodoc-process-signature", signatures.process_signature)
    app.connect(
        "object-description-transform", signatures.tidy_fields, priority=900
    )  # after autodoc has added the types
    app.connect("missing-reference", _resolve)
    app.connect("warn-missing-reference", _may_be_missing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

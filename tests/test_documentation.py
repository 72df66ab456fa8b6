"""The documentation as it is built: no warnings, no dead links, and a reference in which nothing public is missing."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pynamodb_alternator
from pynamodb_alternator import signals

from . import links

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

for _needed in ("sphinx", "furo", "myst_parser"):
    pytest.importorskip(_needed)

pytestmark = pytest.mark.timeout(300)
"""A build takes ten seconds where nothing else runs."""


@pytest.fixture(scope="module")
def documenting() -> Iterator[ModuleType]:
    """The Sphinx extension of the documentation."""
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module("documenting")
    finally:
        sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def signatures(documenting: ModuleType) -> ModuleType:
    """What it is made of: how signatures and types are shown."""
    return sys.modules["signatures"]


# ---- what is built -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages. They are built once, as `make docs` builds them."""
    folder = tmp_path_factory.mktemp("documentation")
    options = ["-W", "--keep-going", "-q", "-b", "html", "-d", str(folder / "doctrees")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "sphinx", *options, str(DOCS), str(folder / "html")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def described(built: Path) -> set[str]:
    """The full names of all that the reference describes."""
    from sphinx.util.inventory import InventoryFile

    inventory = InventoryFile.loads((built / "objects.inv").read_bytes(), uri="")
    return {name for kind in inventory.data if kind.startswith("py:") for name in inventory.data[kind]}


@pytest.mark.slow
def test_no_link_is_dead(built: Path) -> None:
    assert list(links.dead_links(built)) == []


PUBLIC = (
    "pynamodb_alternator",
    "pynamodb_alternator.aio",
    "pynamodb_alternator.boto3",
    "pynamodb_alternator.contrib.django.middleware",
    "pynamodb_alternator.contrib.django.test",
    "pynamodb_alternator.contrib.django.views",
    "pynamodb_alternator.contrib.fastapi",
    "pynamodb_alternator.contrib.flask",
    "pynamodb_alternator.contrib.logging",
    "pynamodb_alternator.contrib.opentelemetry",
    "pynamodb_alternator.contrib.prometheus",
    "pynamodb_alternator.errors",
    "pynamodb_alternator.local",
    "pynamodb_alternator.pytest_plugin",
    "pynamodb_alternator.signals",
    "pynamodb_alternator.typing",
)
"""The modules that users import from."""
NOT_FOR_USERS = {
    "pynamodb_alternator.pytest_plugin.anyio_client",  # pytest has to find it there
}


def _full_names(module: str, name: str) -> set[str]:
    """All names by which the reference may have it: where users import it from, and where it is."""
    value = getattr(importlib.import_module(module), name)
    home, own = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    return {f"{module}.{name}", f"{home}.{own}"}


@pytest.mark.slow
@pytest.mark.parametrize("module", PUBLIC)
def test_the_reference_has_each_public_name(module: str, described: set[str]) -> None:
    names = importlib.import_module(module).__all__
    missing = {f"{module}.{name}" for name in names if not _full_names(module, name) & described}
    modules = {f"pynamodb_alternator.{name}" for name in ("errors", "signals")}
    assert missing - NOT_FOR_USERS - modules == set()


@pytest.mark.slow
def test_the_reference_has_each_method_of_clusters(described: set[str]) -> None:
    classes = (
        (pynamodb_alternator.Cluster, "pynamodb_alternator.Cluster"),
        (pynamodb_alternator.AsyncCluster, "pynamodb_alternator.aio.AsyncCluster"),
    )
    for kind, name in classes:
        public = {method for method in vars(kind) if not method.startswith("_")}
        assert {f"{name}.{method}" for method in public if getattr(kind, method).__doc__} - described == set()


@pytest.mark.slow
def test_the_reference_has_no_noise(built: Path, described: set[str]) -> None:
    made_by_python = re.compile(r"\.__(?!call__)\w+__$")
    assert [name for name in described if made_by_python.search(name)] == []
    for page in (built / "reference").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "Alias for field number" not in text, page
        assert "&lt;factory&gt;" not in text, page
        assert "0x7" not in text, page  # an address in memory, of a default value


@pytest.mark.slow
def test_the_reference_has_no_private_names(built: Path) -> None:
    """Neither in types and arguments, nor in the prose: a reader cannot look them up."""
    for page in (built / "reference").glob("*.html"):
        text = re.sub(r"<[^>]+>", "", re.sub(r"<pre>.*?</pre>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))
        private = {name for name in re.findall(r"(?<![\w.])~?_[A-Za-z]\w*", text) if not name.startswith("__")}
        assert private == set(), page
        for noise in ("&lt;lambda&gt;", "NotGiven", "InitVar", "Unpack[", "NodeServer", "(*args, **kwargs)"):
            assert noise not in text, page
        assert "<blockquote>" not in page.read_text(encoding="utf-8"), page  # code that looks like prose


@pytest.mark.slow
def test_what_users_do_not_make_has_no_arguments(built: Path, signatures: ModuleType) -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (built / "reference").glob("*.html"))
    heads = dict(
        re.findall(r'<dt class="sig [^"]*" id="pynamodb_alternator\.(?:\w+\.)*(\w+)">(.*?)</dt>', text, re.DOTALL)
    )
    assert signatures.GIVEN - heads.keys() == set()
    assert [name for name in signatures.GIVEN if "sig-paren" in heads[name]] == []


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("AsyncResults[_M]", "AsyncResults[Model]"),
        ("Callable[[~_P], _T]", "Callable[..., Any]"),
        ("Iterable[_Key | Iterable[_Key]]", "Iterable[Any | Iterable[Any]]"),
        ("VectorIndex[_I] | None", "VectorIndex[Model] | None"),
        ("Vector", "Sequence[float] | HasToList"),
        ("Hedge | NotGiven | None", "Hedge | None"),
        ("dict[str, Any]", "dict[str, Any]"),
    ],
)
def test_types_are_shown_by_names_that_a_reader_knows(signatures: ModuleType, written: str, shown: str) -> None:
    assert signatures.shown_type(written) == shown


@pytest.mark.slow
def test_names_of_others_are_not_links(built: Path) -> None:
    """PynamoDB's `TableConnection` is not ours, and NONE is a word of more than one library."""
    page = (built / "getting-started.html").read_text(encoding="utf-8")
    assert 'href="reference/models.html#pynamodb_alternator.TableConnection"' not in page
    page = (built / "howto/from-alternator-client.html").read_text(encoding="utf-8")
    assert "KeyRouteAffinity.NONE" not in page


@pytest.mark.slow
def test_code_in_a_page_leads_to_the_reference(built: Path) -> None:
    page = (built / "configuration.html").read_text(encoding="utf-8")
    assert 'href="reference/settings.html#pynamodb_alternator.ClusterConfig"' in page


def test_pages_stand_in_one_of_four_kinds() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^:caption: (.+)$", index, re.MULTILINE) == ["Tutorial", "How to", "Reference", "Explanation"]


def test_the_index_begins_with_what_it_is_a_command_code_and_a_picture() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    places = [index.index(text) for text in ("ScyllaDB Alternator", "pip install", "```python", "![", "```{toctree}")]
    assert places == sorted(places)
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", index):
        assert (DOCS / picture).is_file()


# ---- what it is made of ------------------------------------------------------------------------------------------


def test_each_signal_is_described_with_all_fields_of_its_event(documenting: ModuleType) -> None:
    text = "\n".join(documenting.signals_text())
    docs = documenting.field_docs()
    parts = dict(re.findall(r"^\.\. py:data:: (\w+)\n(.*?)(?=^\.\. py:|\Z)", text, re.MULTILINE | re.DOTALL))
    assert parts.keys() >= {name.replace("-", "_") for name in signals.namespace}
    for signal, kind in signals.EVENTS.items():
        part = parts[signal.name.replace("-", "_")]
        assert f".. py:class:: {kind.__name__}" in part
        for field in dataclasses.fields(kind):
            meaning = re.search(rf":ivar {field.name}: (.+)", part)
            assert meaning is not None
            assert meaning[1] in docs.values()
            assert f":vartype {field.name}: {field.type}" in part


@pytest.mark.parametrize(
    ("docstring", "parameters", "attributes", "result"),
    [
        ("Say it.", ("to",), False, "Say it."),
        (
            "Say it.\n\n`to`: whom. `twice`: or once.",
            ("to", "twice"),
            False,
            "Say it.\n\n:param to: whom.\n:param twice: or once.",
        ),
        ("Say it. `to`: whom.", ("to",), False, "Say it.\n\n:param to: whom."),
        ("`a`, `b`: two.", ("a", "b"), False, ":param a: two.\n:param b: two."),
        ("It has `a`: so.", ("a",), False, "It has `a`: so."),
        ("`node`: where.", (), True, ":ivar node: where."),
        ("`node`: where.", (), False, "`node`: where."),
        ("`a`: one. Raises `E` at once.\n\nMore.", ("a",), False, "Raises `E` at once.\n\nMore.\n\n:param a: one."),
        ("Text.\n\n    `a`: code.", ("a",), False, "Text.\n\n    `a`: code."),
        ("Text.\n\n- `a`: in a list.", ("a",), False, "Text.\n\n- `a`: in a list."),
    ],
)
def test_descriptions_of_arguments_become_fields(
    documenting: ModuleType, docstring: str, parameters: tuple[str, ...], attributes: bool, result: str
) -> None:
    lines = documenting.with_parameters(docstring.splitlines(), parameters, attributes)
    assert "\n".join(lines).strip() == result


# ---- messages ----------------------------------------------------------------------------------------------------


def _messages_of_the_code() -> Iterator[str]:
    """Each text in the code, with … for what is filled in."""
    for path in (ROOT / "pynamodb_alternator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                yield re.sub(r"%[rsdg]", "…", node.value)


def messages_of_the_page() -> list[str]:
    """What docs/troubleshooting.md says that the library says."""
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    tables = page.partition("<!-- messages: begin -->")[2].partition("<!-- messages: end -->")[0]
    return re.findall(r"^\| `([^`]+)` \|", tables, re.MULTILINE)


@pytest.fixture(scope="module")
def said() -> str:
    return "\n".join(_messages_of_the_code())


@pytest.mark.parametrize("message", messages_of_the_page())
def test_a_message_of_the_troubleshooting_is_one_of_the_code(said: str, message: str) -> None:
    parts = [re.escape(part) for part in message.strip("…").split("…")]
    assert re.search("…".join(parts), said) is not None


def test_each_row_of_the_troubleshooting_begins_with_a_message() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    tables = page.partition("<!-- messages: begin -->")[2].partition("<!-- messages: end -->")[0]
    rows = [line for line in tables.splitlines() if line.startswith("|") and not line.startswith(("|---", "| message"))]
    assert len(rows) == len(messages_of_the_page()) > 30


# ---- names -------------------------------------------------------------------------------------------------------


def _public_classes() -> dict[str, type[Any]]:
    modules = ("", ".aio", ".contrib.django.test", ".errors", ".local", ".signals")
    homes = [importlib.import_module(f"pynamodb_alternator{module}") for module in modules]
    values = {name: getattr(home, name) for home in homes for name in home.__all__}
    return {name: value for name, value in values.items() if isinstance(value, type)}


def _has(kind: type[Any], name: str) -> bool:
    annotated = {attribute for base in kind.__mro__ for attribute in inspect.get_annotations(base)}
    return hasattr(kind, name) or name in annotated


OF_OTHER_DRIVERS = {"from-go.md", "from-java.md"}
"""Pages that name classes of other languages."""
OWN = [page for page in sorted(DOCS.rglob("*.md")) if page.name not in OF_OTHER_DRIVERS]


@pytest.mark.parametrize("page", OWN, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_names_what_the_classes_have(page: Path) -> None:
    """`Cluster.nodes` in the text of a page is there. Snippets run, so that they need no look."""
    classes = _public_classes()
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`(?:\w+\.)*([A-Z]\w+)\.([a-z]\w*)[^`]*`", text)
    assert [f"{kind}.{name}" for kind, name in named if kind in classes and not _has(classes[kind], name)] == []


# ---- links -------------------------------------------------------------------------------------------------------


def test_dead_links_are_seen(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "picture.svg").touch()
    (tmp_path / "more/page.html").write_text('<p id="place"><a href="../index.html#top">up</a></p>', encoding="utf-8")
    (tmp_path / "index.html").write_text(
        '<h1 id="top">A</h1><img src="picture.svg"><img src="lost.svg"><a href="#top">1</a><a href="#bottom">2</a>'
        '<a href="more/page.html#place">3</a><a href="more/page.html#other">4</a><a href="more/none.html">5</a>'
        '<a href="https://docs.scylladb.com/">6</a><a href="http://127.0.0.1:5000/">7</a><a href="https://nowhere/">8</a>',
        encoding="utf-8",
    )
    dead = [line.split()[1] for line in links.dead_links(tmp_path)]
    assert dead == ["lost.svg", "#bottom", "more/page.html#other", "more/none.html", "https://nowhere/"]


@pytest.mark.parametrize("link", ["https://docs.scylladb.com/manual", "http://127.0.0.1:5000/dashboard"])
def test_a_link_to_another_site(link: str) -> None:
    assert links.wrong_form(link) == ""


@pytest.mark.parametrize("link", ["https://", "https://docs scylladb.com", "https://docs", "http://docs.scylladb.com"])
def test_a_wrong_link_to_another_site(link: str) -> None:
    assert links.wrong_form(link) != ""

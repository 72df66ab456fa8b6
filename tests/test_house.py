"""The plan of the house, kept: rooms, privacy, length of modules, direction of imports, and names.

What each room may import is in pyproject.toml (`make lint`). Here is what import contracts cannot say.
"""

from __future__ import annotations

import ast
import graphlib
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import pynamodb_alternator

HOUSE = Path(str(pynamodb_alternator.__file__)).parent
MODULES = {path.relative_to(HOUSE).as_posix(): path.read_text(encoding="utf-8") for path in HOUSE.rglob("*.py")}
TREES = {name: ast.parse(text) for name, text in MODULES.items()}
EACH = pytest.mark.parametrize("module", sorted(MODULES))

ROOT = Path(__file__).parents[1]
SOURCES = {
    folder: {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    for folder in ("benchmarks", "docs", "example_app", "pynamodb_alternator", "tests")
    if (paths := sorted(path for path in (ROOT / folder).rglob("*.py") if "_build" not in path.parts))
}
"""All code of the repository by its folder, without what `make docs` has built; of the package only if the tests do not
run on an installed one."""

MOST_LINES = 400
LONG_TABLES = {"routing/_go_constants.py"}
"""Numbers, which nobody reads."""
TOP = {
    "__init__.py",
    "__main__.py",
    "_stubs.py",
    "_version.py",
    "boto3.py",
    "cluster.py",
    "errors.py",
    "events.py",
    "pytest_plugin.py",
    "registry.py",
    "signals.py",
    "typing.py",
}
ROOMS = {
    "aio",
    "contrib",
    "core",
    "diagnostics",
    "local",
    "orm",
    "routing",
    "settings",
    "shell",
    "topology",
    "transport",
}

SEAMS = {
    ("aio/connection.py", "transport.get_extra_info('socket')._sock"): "asyncio gives its socket only wrapped",
    ("aio/loops.py", "self._client._make_api_call"): "what PynamoDB calls of its client",
    ("contrib/django/checks.py", "sys._getframe"): "documented by Python; Django does not tell a check its tags",
    ("contrib/flask.py", "current_app._get_current_object"): "documented by Flask, to get at the application itself",
    ("local/_relay.py", "os._exit"): "documented by Python, to end a forked child",
}
"""Private names of others that one place needs, and why."""
SEAM_MODULES = {
    "orm/_pynamodb.py": "all that we need of PynamoDB beyond its public methods",
    "transport/_botocore.py": "all that we need of botocore beyond its public methods, with the next three",
    "transport/_calls.py": "which calls of a client nobody listens to: botocore's handlers, methods and recorder",
    "transport/_hooks.py": "who listens to an attempt: botocore's handlers",
    "transport/_session.py": "botocore's session, its configuration, and its own event handlers",
}
EVERYWHERE = ""
RULED_OUT = {
    "dialogue": ("ResponseRules", (EVERYWHERE,)),
    "doubt": ("suspect", (EVERYWHERE,)),
    "doubted": ("suspect", (EVERYWHERE,)),
    "doubts": ("suspects", (EVERYWHERE,)),
    "in_doubt": ("suspects", (EVERYWHERE,)),
    "patient": ("NodeReport", ("diagnostics/", "shell/")),
    "place": ("location", ("aio/", "core/", "diagnostics/", "local/", "orm/", "settings/", "shell/", "topology/")),
    "recipe": ("ItemLoader", (EVERYWHERE,)),
    "repetition": ("retry", (EVERYWHERE,)),
    "wire": ("Sender", ("aio/", "core/", "transport/")),
}
"""Words that are not used for a variable, argument, function or class; what is used instead; and where this holds."""
SAYS_NOTHING = {"found", "given", "one", "wanted"}
"""Names for anything at all: a reader has to go back to the line where the thing was made. Not even in tests."""
FORK_NAMES = {"after_fork", "_after_fork", "_after_fork_in_child", "_forked", "forked"}
"""One verb for the fork. The last two are a receiver of the signal `client_forked`, and a state of a process."""


# ---- private attributes ------------------------------------------------------------------------------------------


_OF_NAMED_TUPLES = {"_asdict", "_fields", "_replace"}
"""Public: the underscore keeps them apart from the names of fields."""


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in _OF_NAMED_TUPLES


class _Reaching(ast.NodeVisitor):
    """Finds where a private attribute of another object is used: not of `self` or `cls`, and not through
    ``super()``."""

    def __init__(self) -> None:
        self.places: list[tuple[int, str]] = []
        self._own: list[str | None] = [None]
        self._in_class = [False]

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._in_class.append(True)
        self.generic_visit(node)
        self._in_class.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        arguments = [*node.args.posonlyargs, *node.args.args]
        # A function inside of a method still knows the method's self.
        own = self._own[-1]
        if self._in_class[-1] and "staticmethod" not in decorators:
            own = arguments[0].arg
        self._own.append(own)
        self._in_class.append(False)
        self.generic_visit(node)
        self._in_class.pop()
        self._own.pop()

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if _is_private(node.attr) and not self._is_own(node.value):
            self.places.append((node.lineno, ast.unparse(node)))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """`getattr` and its kind reach as far."""
        if isinstance(node.func, ast.Name) and node.func.id in ("delattr", "getattr", "hasattr", "setattr"):
            of, name = node.args[:2]
            if isinstance(name, ast.Constant) and _is_private(str(name.value)) and not self._is_own(of):
                self.places.append((node.lineno, f"{ast.unparse(of)}.{name.value}"))
        self.generic_visit(node)

    def _is_own(self, value: ast.expr) -> bool:
        if isinstance(value, ast.Name):
            return value.id == self._own[-1] and value.id in ("self", "cls")
        return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "super"


def reaching(tree: ast.Module) -> list[tuple[int, str]]:
    visitor = _Reaching()
    visitor.visit(tree)
    return visitor.places


@EACH
def test_no_module_reaches_into_another_object(module: str) -> None:
    places = [(line, text) for line, text in reaching(TREES[module]) if (module, text) not in SEAMS]
    if module not in SEAM_MODULES:
        assert places == []


def test_each_seam_is_still_needed() -> None:
    used = {(module, text) for module, tree in TREES.items() for _, text in reaching(tree)}
    assert SEAMS.keys() <= used
    assert SEAM_MODULES.keys() <= {module for module, _ in used}


@pytest.mark.parametrize(
    ("code", "reaches"),
    [
        ("def f(node): return node._pools", True),
        ("def f(self): return self._pools", True),
        ("def f(cls): cls._made = 1", True),
        ("def f(x): return getattr(x, '_pools', None)", True),
        ("class A:\n def f(self, other): return self._pools._idle", True),
        ("class A:\n def f(self, other): return other._pools", True),
        ("def f(pair): return pair._replace(left=1)", False),
        ("class A:\n @staticmethod\n def f(self): return self._pools", True),
        ("class A:\n def f(self): return [self._pools, super()._pools, getattr(self, '_x'), self.__class__]", False),
        ("class A:\n @classmethod\n def f(cls): return lambda: cls._pools", False),
        ("class A:\n def f(self):\n  def inner(): return self._pools\n  return inner", False),
    ],
)
def test_what_counts_as_reaching(code: str, reaches: bool) -> None:
    assert bool(reaching(ast.parse(code))) == reaches


def test_private_names_of_a_module_stay_in_it() -> None:
    """Modules with a private name (`_botocore`) may be imported by others, what is private in a module may not."""
    imported = {
        (module, alias.name)
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("pynamodb_alternator"))
        for alias in node.names
        if _is_private(alias.name) and not _module_file(_absolute(module, node), alias.name)
    }
    assert imported == set()


OUTSIDE = [path for folder in ("benchmarks", "example_app") for path in sorted((HOUSE.parent / folder).rglob("*.py"))]


@pytest.mark.skipif(not OUTSIDE, reason="the tests run on an installed package")
def test_the_example_and_the_benchmarks_use_public_names_only() -> None:
    """But for what benchmarks measure by itself."""
    public = ("errors", "signals", "local", "boto3", "contrib.")
    measured = ("topology.replicas",)
    # The simulator of a fleet is made of the inside of the package: it is to show what the real rules do.
    simulated = ("core.", "routing.", "topology.", "transport.")
    for path in OUTSIDE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert reaching(tree) == [], path
        for node in ast.walk(tree):
            module = (node.module or "") if isinstance(node, ast.ImportFrom) and not node.level else ""
            if module.startswith("pynamodb_alternator."):
                allowed = (*public, *measured) if "benchmarks" in path.parts else public
                allowed = (*allowed, *simulated) if "fleet" in path.parts else allowed
                assert f"{module.removeprefix('pynamodb_alternator.')}.".startswith(allowed), f"{path}: {module}"


# ---- rooms and modules -------------------------------------------------------------------------------------------


@EACH
def test_a_module_reads_in_one_sitting(module: str) -> None:
    lines = len(MODULES[module].splitlines())
    if module not in LONG_TABLES:
        assert lines <= MOST_LINES


def test_the_sets_name_modules_that_exist() -> None:
    assert {*LONG_TABLES, *SEAM_MODULES} <= MODULES.keys()


def test_at_the_top_stands_only_what_users_import() -> None:
    assert {name for name in MODULES if "/" not in name} == TOP
    assert {name.partition("/")[0] for name in MODULES if "/" in name} == ROOMS


@EACH
def test_a_module_says_what_it_is_for(module: str) -> None:
    if not MODULES[module].strip() or module == "_version.py" or "/management/commands/alternator_" in module:
        return  # a command's `help` says it
    assert ast.get_docstring(TREES[module])


@EACH
def test_type_checkers_see_each_missing_name(module: str) -> None:
    """A module with `__getattr__` has every name to them, misspelt ones too: so it must be hidden from them."""
    tree = TREES[module]
    hidden = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "not TYPE_CHECKING"]
    functions = {_function(node) for node in tree.body}
    assert "__getattr__" not in functions
    if module == "__init__.py":
        assert "__getattr__" in {_function(node) for branch in hidden for node in branch.body}  # it does look


# ---- imports -----------------------------------------------------------------------------------------------------


def _is_for_type_checkers(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _statements(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run when the module is imported: not those in functions, and not those for type checkers."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not _is_for_type_checkers(node) and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ("body", "orelse", "finalbody", "handlers"):
                yield from _statements(getattr(node, inner, []))


def _absolute(module: str, node: ast.ImportFrom) -> str:
    """The folder or module, below the package, that a statement imports from; such as ``transport/http1``."""
    if not node.level:
        return (node.module or "").removeprefix("pynamodb_alternator").lstrip(".").replace(".", "/")
    parts = module.split("/")[: -node.level]
    return "/".join([*parts, *(node.module or "").split(".")]).strip("/")


def _module_file(folder: str, name: str) -> str | None:
    base = f"{folder}/{name}".strip("/")
    return next((file for file in (f"{base}.py", f"{base}/__init__.py") if file in MODULES), None)


def _imported(module: str) -> set[str]:
    modules: set[str] = set()
    for node in _statements(TREES[module].body):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("pynamodb_alternator.")]
            files = [_module_file("", name.partition(".")[2].replace(".", "/")) for name in names]
            modules.update(file for file in files if file)
        elif node.level or (node.module or "").startswith("pynamodb_alternator"):
            source = _absolute(module, node)
            for alias in node.names:
                file = _module_file(source, alias.name) or _module_file("", source)
                assert file or not source, f"{module}: {ast.unparse(node)} imports from nowhere"
                modules.add(file or "__init__.py")
    return modules


def test_no_imports_go_in_a_circle() -> None:
    graph = {module: _imported(module) - {module} for module in TREES}
    assert sum(map(len, graph.values())) > 200  # it does see them
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as circle:
        pytest.fail(f"These import each other: {' <- '.join(circle.args[1])}")


# ---- names -------------------------------------------------------------------------------------------------------


def _names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


@EACH
def test_names_are_those_of_the_word_list(module: str) -> None:
    for line, name in _names(TREES[module]):
        word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).strip("_").lower()
        if word in RULED_OUT:
            instead, rooms = RULED_OUT[word]
            assert not module.startswith(rooms), f"{module}:{line}: {name}; the word list says {instead}"


@pytest.mark.parametrize("folder", sorted(SOURCES))
def test_names_say_what_the_thing_is(folder: str) -> None:
    assert [
        f"{path}:{line}: {name}"
        for path, text in SOURCES[folder].items()
        for line, name in _names(ast.parse(text))
        if name.strip("_") in SAYS_NOTHING
    ] == []


def test_there_is_one_verb_for_the_fork() -> None:
    names = {name for tree in TREES.values() for node in ast.walk(tree) if (name := _function(node)) and "fork" in name}
    assert names == FORK_NAMES


def _function(node: ast.AST) -> str:
    return node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ""


TANGLED = re.compile(
    r"(?<!there )\b(?:is|are|was|were) no (?!longer|more|less)|\bwhoever\b|\brepetitions?\b|, save (?:that|for|what)\b"
    r"|\b(?:function|greenlet|process|task|thread)(?:s|es)? who\b|\bbe it\b|\bas ever\b|\bin the sight of\b",
    re.IGNORECASE,
)
"""What a reader whose first language is not English has to read twice."""


def _prose(text: str) -> Iterator[str]:
    """The comments and texts of a file, each with one blank between its words; comments on successive lines as one."""
    comments: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            comments.append(token.string.lstrip("# "))
        elif token.type != tokenize.NL:
            yield " ".join(comments)
            comments.clear()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.split())


@pytest.mark.parametrize("folder", sorted(SOURCES))
def test_words_are_plain(folder: str) -> None:
    assert [
        (path, prose)
        for path, text in SOURCES[folder].items()
        if path != "tests/test_house.py"  # it has these very words
        for prose in _prose(text)
        if TANGLED.search(prose)
    ] == []


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ("# It is no\n# node.", False),
        ('"""These\n    are no nodes."""', False),
        ("x = f'{y}, save for {z}'", False),
        ("# There is no node, and the thread is no longer there.", True),
        ("f()  # a thread who waits", False),
        ("f()  # a user who waits", True),
    ],
)
def test_what_counts_as_plain(text: str, is_plain: bool) -> None:
    assert any(map(TANGLED.search, _prose(text))) is not is_plain

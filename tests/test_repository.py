"""What holds for the repository as a whole: what is committed, what the README says, what the package exports."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import pynamodb_alternator

ROOT = Path(__file__).parents[1]

PINNED = {
    "AlternatorConnection",
    "Model",
    "install",
    "uninstall",
    "Cluster",
    "ClusterConfig",
    "Credentials",
    "Timeouts",
    "Retries",
    "ClusterScope",
    "DatacenterScope",
    "RackScope",
    "configure",
    "get_cluster",
    "close_all",
    "signals",
    "errors",
}
"""The public names that applications rely on."""

LOCKS = ("requirements/demo.lock", "requirements/dev.lock")


def _committed() -> list[Path]:
    """Files that are committed, or would be by the next commit."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a git work tree")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def _texts() -> Iterator[tuple[str, str]]:
    for path in _committed():
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def _configured_hosts() -> set[str]:
    """Hosts of the package registries that this machine is set up to use."""
    values = [value for name, value in os.environ.items() if re.match(r"(PIP|UV|NPM_CONFIG)_", name, re.IGNORECASE)]
    for path in (Path("/etc/pip.conf"), Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf"):
        if path.is_file():
            values.append(path.read_text(encoding="utf-8", errors="replace"))
    urls = [url for value in values for url in re.findall(r"https?://[^\s'\"]+", value)]
    hosts = {urlsplit(url).hostname for url in urls}
    return {host for host in hosts if host and host not in ("localhost", "127.0.0.1")}


def test_no_machine_path_is_committed() -> None:
    # A home or work folder of some machine. Written so that this file does not match it.
    path = re.compile(r"(?<![\w.$}/-])/(?:work|root|home/[a-z][\w-]*|Users/[A-Za-z][\w-]*)/[\w.]")
    hits = [f"{name}: {match[0]}" for name, text in _texts() for match in path.finditer(text)]
    assert hits == []


def test_no_registry_host_is_committed() -> None:
    known = [
        ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))
    ]
    hosts = sorted({*known, *_configured_hosts()})
    hits = [f"{name}: {host}" for name, text in _texts() for host in hosts if host in text]
    assert hits == []


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_has_names_versions_and_hashes_only(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    requirement = re.compile(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[\w.]+( ; .+)? \\")
    a_hash = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    strange = [line for line in lines if not requirement.fullmatch(line) and not a_hash.fullmatch(line)]
    assert strange == []
    assert sum(bool(requirement.fullmatch(line)) for line in lines) > 20


def _locked(name: str) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for distribution, version in re.findall(r"^([a-z0-9-]+)==([\w.]+)", (ROOT / name).read_text(), re.MULTILINE):
        versions.setdefault(distribution, set()).add(version)
    return versions


def test_the_locks_agree() -> None:
    demo, dev = _locked(LOCKS[0]), _locked(LOCKS[1])
    assert {name: versions for name, versions in demo.items() if dev.get(name) != versions} == {}


def test_the_lock_has_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    requirements = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        requirements += extra
    for group in project["dependency-groups"].values():
        requirements += [requirement for requirement in group if isinstance(requirement, str)]
    names = {re.match(r"[\w-]+", requirement)[0].lower() for requirement in requirements}  # type: ignore[index]
    assert names - _locked("requirements/dev.lock").keys() == set()


def test_pynamodbs_own_tests_are_of_the_version_in_the_lock() -> None:
    name, version = (ROOT / "tests/upstream/sdist.txt").read_text(encoding="utf-8").split()[0].split("==")
    assert _locked("requirements/dev.lock")[name] == {version}


def test_nox_covers_every_extra_and_each_lower_bound() -> None:
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = re.findall(r'^(?:WITHOUT_ASYNC|EXTRAS|FOR_TYPES) = f?"(.*)"', text, re.MULTILINE)
    names = set(",".join(extras).split(",")) - {"{WITHOUT_ASYNC}"}
    assert names == set(project["optional-dependencies"])
    pinned: dict[str, set[str]] = {}
    for name, version in re.findall(r'"([a-z0-9-]+)(?:\[\w+\])?==([\w.]+)"', text):
        pinned.setdefault(name, set()).add(version)
    optional = project["optional-dependencies"]
    of_extras = [requirement for name in optional if name != "stubs" for requirement in optional[name]]
    for requirement in [*project["dependencies"], *of_extras]:
        name, bound = re.match(r"([\w-]+)(?:\[\w+\])?>=([\w.]+)", requirement).groups()  # type: ignore[union-attr]
        assert {bound, f"{bound}.0", f"{bound}.0.0"} & pinned.get(name, set()), requirement


KINDS_OF_CHANGES = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    _, unreleased, *released = re.split(r"^## ", text, flags=re.MULTILINE)
    assert unreleased.startswith("[Unreleased]\n")
    versions = [re.match(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d\n", section) for section in released]
    assert None not in versions
    numbers = [tuple(map(int, version.groups())) for version in versions if version]
    assert numbers == sorted(set(numbers), reverse=True)
    own = tuple(int(digits) for digits in re.findall(r"\d+", pynamodb_alternator.__version__))
    assert max(numbers, default=own) <= own
    for section in (unreleased, *released):
        kinds = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert kinds == [kind for kind in KINDS_OF_CHANGES if kind in kinds]


def test_the_public_names() -> None:
    assert set(pynamodb_alternator.__all__) >= PINNED
    assert [name for name in pynamodb_alternator.__all__ if not hasattr(pynamodb_alternator, name)] == []
    assert sorted(pynamodb_alternator.__all__) == list(pynamodb_alternator.__all__)


def snippets(name: str) -> list[str]:
    """The Python code in a Markdown file."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_the_snippets_compile(name: str) -> None:
    for number, code in enumerate(snippets(name)):
        compile(code, f"{name}, snippet {number}", "exec")


def test_the_snippets_import_what_exists() -> None:
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for code in snippets(str(path.relative_to(ROOT))):
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pynamodb_alternator"):
                    exec(ast.unparse(node), {})


def test_the_readme_begins_with_what_it_is_and_the_two_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:45])
    for text in ("PynamoDB", "ScyllaDB Alternator", "```python", "make demo", "make test"):
        assert text in first_screen


def test_the_first_snippet_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        exec(compile(snippets("README.md")[0], "README.md", "exec"), {"__name__": "readme"})
    finally:
        pynamodb_alternator.close_all()
    assert capsys.readouterr().out == "0\n"


PAGES = "https://pynamodb-alternator.readthedocs.io/en/stable/"


def _anchors(page: str) -> set[str]:
    """Of the headings of a page, as Sphinx makes them."""
    headings = re.findall(r"^#{1,3} (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_leads_to_pages_that_exist() -> None:
    # It is shown where no other file of the repository is: each link has to be a whole address.
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert [link for link in links if not link.startswith("https://")] == []
    own = [link.removeprefix(PAGES) for link in links if link.startswith(PAGES)]
    assert len(own) > 15
    for link in own:
        name, _, anchor = link.partition("#")
        page = (ROOT / "docs" / name.replace(".html", ".md")).read_text(encoding="utf-8")
        assert not anchor or anchor in _anchors(page), link


def test_the_documentation_is_where_the_readme_says() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert urls["Documentation"] == PAGES
    assert all(url.startswith("https://") for url in urls.values())


def test_the_tutorial_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from pynamodb_alternator.local import LocalCluster

    tutorial = snippets("docs/getting-started.md")
    names: dict[str, object] = {"__name__": "tutorial"}
    with LocalCluster(nodes=3) as local:
        try:
            exec(compile(tutorial[0].replace("http://127.0.0.1:8000", local.url), "tutorial", "exec"), names)
        finally:
            pynamodb_alternator.close_all()
        printed = capsys.readouterr().out
        assert "There is no bob." in printed
        assert [line for line in printed.splitlines() if line.endswith(" active")] != []


WORDS = (
    "node, seed, topology, datacenter, rack, location, replica, token, token ring, tablet, shard, coordinator, "
    "routing scope, ring, query plan, subset, key route affinity, token awareness, plain write, attempt, hedge, retry, "
    "failover, read-modify-write, lightweight transaction, write isolation, idempotent write, unknown outcome, "
    "active, down, suspect, probe, unproven, quarantined, set aside, slow start, settled, view, "
    "alias, fleet, embedded cluster, slot, after_fork"
)
"""What this project calls its things, once and for all."""


def test_every_word_is_in_the_glossary() -> None:
    page = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    explained = dict(re.findall(r"^### (.+)\n\n((?:.+\n)+)", page, re.MULTILINE))
    assert set(explained) == set(WORDS.split(", "))
    assert [word for word, text in explained.items() if not text.rstrip().endswith(".")] == []


def test_every_signal_is_in_the_documentation() -> None:
    page = (ROOT / "docs/signals.md").read_text(encoding="utf-8")
    names = [name.replace("-", "_") for name in pynamodb_alternator.signals.namespace]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_error_is_in_the_documentation() -> None:
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    missing = [name for name in pynamodb_alternator.errors.__all__ if f"`{name}`" not in page]
    # Base classes that applications do not catch, and errors that the page describes in other words.
    assert set(missing) <= {"TransportError", "DeadlineExceededError", "RequestRefusedError"}

"""Every Python snippet of the documentation runs, page by page, against an embedded cluster.

A snippet that cannot is preceded by a comment that says why: ``<!-- not run: ... -->``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynamodb_alternator.local import LocalCluster

ROOT = Path(__file__).resolve().parents[2]
_SNIPPET = re.compile(r"(?P<skip><!-- not run:[^>]*-->\s*\n)?^```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


def snippets(page: Path) -> list[str]:
    """The page's snippets that run."""
    matches = _SNIPPET.finditer(page.read_text(encoding="utf-8"))
    return [match["code"] for match in matches if not match["skip"]]


PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if "_build" not in page.parts and snippets(page)
]


@pytest.fixture(scope="module")
def local() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=3) as cluster:
        yield cluster


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_snippets_of_a_page_run(page: Path, local: LocalCluster, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    shutil.copytree(ROOT / "docs" / "corpus", tmp_path / "corpus")
    lines = ["from tests.loopback import install", "install()"]
    for number, code in enumerate(snippets(page)):
        code = code.replace("127.0.0.1:8000", f"127.0.0.1:{local.port}").replace("port=8000", f"port={local.port}")
        code = code.replace("start_http_server(9464)", "start_http_server(0)")  # a free port: others run this, too
        lines += [f"# ---- snippet {number}", code]
    script.write_text("\n".join(lines), encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith("ALTERNATOR_")}
    env |= {"PYTHONPATH": str(ROOT), "ALTERNATOR_URL": local.url}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr

"""The table of modules in docs/architecture.md, made from the first sentences of the modules' docstrings.

``python -m tests.architecture`` writes it; tests/test_architecture.py fails if it is out of date.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "pynamodb_alternator"
BEGIN, END = "<!-- modules: begin -->", "<!-- modules: end -->"
ROOMS = (
    *("", "settings", "topology", "routing", "transport", "core", "orm", "aio"),
    *("diagnostics", "shell", "contrib", "local"),
)


def first_sentence(path: Path) -> str:
    """The first sentence of the module's docstring, without its full stop; empty if it has none."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    sentence = re.match(r".*?[.?](?=\s|$)", paragraph)
    return (sentence[0] if sentence else paragraph).replace("|", "\\|").removesuffix(".")


def table() -> str:
    """A row for each module, with a heading for each room."""
    lines = ["| module | what it says of itself |", "|---|---|"]
    for room in ROOMS:
        lines.append(
            f"| **`{room}/`** | {first_sentence(PACKAGE / room / '__init__.py')} |" if room else "| **the top** | |"
        )
        modules = (PACKAGE / room).rglob("*.py") if room else PACKAGE.glob("*.py")
        for path in sorted(modules):
            name = path.relative_to(PACKAGE / room).as_posix()
            text = first_sentence(path)
            if text and not name.endswith("__init__.py"):
                lines.append(f"| `{name}` | {text} |")
    return "\n".join(lines)


def written() -> str:
    """The table as it stands in the page."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write() -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    write()

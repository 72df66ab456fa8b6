"""Which of ScyllaDB's own tests of Alternator pass on the embedded cluster.

    python -m tests.conformance CHECKOUT [--engine NAME=URL ...] [--files FILE ...] [--json FILE] [--write]

CHECKOUT is a checkout of github.com/scylladb/scylladb, or a folder that holds its ``test/alternator``. Nothing of it
is copied. ``--write`` puts the table into docs/testing.md; ``--json`` writes the outcome of every test. What is
asserted there is ScyllaDB's word on what Alternator does; tests that it expects to fail on Alternator itself count for
nothing here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from pynamodb_alternator.local import LocalCluster

_DATA_API = (
    *("test_batch.py", "test_compressed_request.py", "test_compressed_response.py", "test_condition_expression.py"),
    *("test_describe_endpoints.py", "test_describe_table.py", "test_expected.py", "test_filter_expression.py"),
    *("test_gsi.py", "test_gsi_updatetable.py", "test_health.py", "test_http_headers.py", "test_item.py"),
    *("test_key_condition_expression.py", "test_key_conditions.py", "test_limits.py", "test_lsi.py"),
    *("test_manual_requests.py", "test_nested.py", "test_number.py", "test_projection_expression.py"),
    *("test_provisioned_throughput.py", "test_query.py", "test_query_filter.py", "test_returnconsumedcapacity.py"),
    *("test_returnvalues.py", "test_scan.py", "test_table.py", "test_tag.py", "test_ttl.py"),
    *("test_update_expression.py", "test_backup.py", "test_encoding.py"),
)
"""The suite's files about the data API: those of streams, vectors, metrics, CQL, roles and logs are left out."""

_PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
_BEGIN, _END = "<!-- begin: python -m tests.conformance --write -->", "<!-- end: python -m tests.conformance -->"
_TIMEOUT = 2400.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument(
        "--engine", action="append", metavar="ENGINE", help="'moto' (default), or NAME=URL; may be given more than once"
    )
    parser.add_argument("--files", nargs="+", default=list(_DATA_API))
    parser.add_argument("--json", type=Path, help="write the outcome of every test to this file")
    parser.add_argument("--write", action="store_true", help="put the table into docs/testing.md")
    parser.add_argument("-k", default=None, help="as pytest's")
    arguments = parser.parse_args()
    suite = arguments.checkout / "test" / "alternator"
    if not (suite / "conftest.py").is_file():
        parser.error(f"there is no test/alternator in {arguments.checkout}")
    engines = dict(_named(text) for text in arguments.engine or ["moto"])
    outcomes = {
        name: _outcomes(arguments.checkout, engine, arguments.files, arguments.k) for name, engine in engines.items()
    }
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(outcomes, indent=1))
    table = _table(outcomes)
    print(table)
    if arguments.write:
        text = _PAGE.read_text()
        head, _, rest = text.partition(_BEGIN)
        _, _, tail = rest.partition(_END)
        _PAGE.write_text(f"{head}{_BEGIN}\n\n{table}\n{_END}{tail}")
    return 0


def _named(text: str) -> tuple[str, str]:
    """The name of an engine for the table, and what `LocalCluster` calls it."""
    name, equals, url = text.partition("=")
    return (name, url) if equals else (text, text)


def _outcomes(checkout: Path, engine: str, files: list[str], chosen: str | None) -> dict[str, str]:
    """The outcome of each test by its name, such as ``test_item.py::test_basic``."""
    with (
        LocalCluster(1, engine=engine, response_compression=True) as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conformance.stand_ins", "-p", "no:cacheprovider"]
        command += ["-p", "no:randomly", "-p", "no:xdist", f"--junitxml={report}", f"--rootdir={checkout}"]
        command += ["-c", os.devnull, f"--confcutdir={checkout / 'test' / 'alternator'}", "--url", cluster.url]
        command += ["-k", chosen] if chosen else []
        command += [str(checkout / "test" / "alternator" / name) for name in files]
        # The suite's folder is a package called `test`, as one of the standard library is.
        path = os.pathsep.join([str(checkout), str(Path(__file__).parents[2])])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        subprocess.run(command, env=environment, timeout=_TIMEOUT, check=False, cwd=folder)
        return dict(_read(report))


def _read(report: Path) -> list[tuple[str, str]]:
    outcomes = []
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}.py::{case.get('name')}"
        kinds = {child.tag: child for child in case}
        broken = [kinds[tag] for tag in ("failure", "error") if tag in kinds]
        if broken:
            outcome = f"failed: {broken[0].get('message')}"[:300]
        elif "skipped" in kinds:
            outcome = "expected" if kinds["skipped"].get("type") == "pytest.xfail" else "skipped"
        else:
            outcome = "passed"
        outcomes.append((name, outcome))
    return outcomes


def _table(outcomes: dict[str, dict[str, str]]) -> str:
    """Rows are files; for each engine what passes and what fails."""
    engines = list(outcomes)
    files = sorted({name.partition("::")[0] for of in outcomes.values() for name in of})
    lines = ["| file | " + " | ".join(f"{engine}: pass | fail" for engine in engines) + " |"]
    lines.append("|---|" + "--:|--:|" * len(engines))
    total: Counter[tuple[str, str]] = Counter()
    for file in files:
        cells = []
        for engine in engines:
            kinds = Counter(
                text.partition(":")[0] for name, text in outcomes[engine].items() if name.startswith(file + "::")
            )
            cells += [str(kinds["passed"]), str(kinds["failed"])]
            total[engine, "passed"] += kinds["passed"]
            total[engine, "failed"] += kinds["failed"]
        lines.append(f"| {file} | " + " | ".join(cells) + " |")
    cells = [f"{total[engine, kind]}" for engine in engines for kind in ("passed", "failed")]
    lines.append("| **all** | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

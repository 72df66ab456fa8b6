"""The benchmarks run, and tell a figure for everything. How fast anything is, no test says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import contenders as who
from benchmarks import rust_orm, tasks
from benchmarks.bars import BARS, Measured
from benchmarks.cold_start import KINDS
from benchmarks.compare import OPERATIONS
from benchmarks.measure import SIZES, THREADS, Figure, Results
from benchmarks.replicas import HOPS, LOOK_UP, RINGS
from benchmarks.report import chart, ratios, tables

ROOT = Path(__file__).resolve().parents[2]


def cells(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]


@pytest.mark.slow
@pytest.mark.timeout(400)  # half a minute where nothing else runs
@pytest.mark.skipif(sys.platform != "linux", reason="needs loopback addresses beyond 127.0.0.1")
def test_the_short_form_measures_everything() -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stderr
    rows = cells(done.stdout)
    for name in (*who.MODELS, *who.CLIENTS):
        # Its CPU, its time, and with threads.
        assert [len(row) for row in rows if row[0] == name] == [1 + len(who.OPERATIONS)] * 2 + [6] * len(THREADS)
    for start in (
        *RINGS,
        LOOK_UP,
        "hop of 0 ms",
        "hop of 5 ms",
        "our client: get",
        "routing alone: affinity",
        "routing alone: round robin",
        f"{who.MODEL}: 1",
        tasks.STOCK,
        tasks.OURS,
        *(f"first get: {kind}" for kind in KINDS),
    ):
        assert [row for row in rows if row[0] == start]
    assert sum(row[-1] in ("yes", "NO") for row in rows) == len(BARS) - (not rust_orm.INSTALLED) + 8
    for row in rows:
        if not set(row[0]) <= {"-"} and row[0]:
            assert all(re.search(r"\d", cell) or cell in ("yes", "NO", "–") for cell in row[1:]), row


@pytest.mark.skipif(sys.platform != "linux", reason="needs loopback addresses beyond 127.0.0.1")
def test_bars_are_chosen_by_their_words() -> None:
    command = [sys.executable, "-m", "benchmarks.bars", "--quick", "--only", "save", "--only", "nobody"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines() if line.endswith(("yes", "NO"))] == ["save"]
    assert ("pydynox is not installed" in done.stdout) is not bool(rust_orm.INSTALLED)
    done = subprocess.run([*command[:-4], "--only", "nobody"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no bar has nobody in its words; they are: get, model: of PynamoDB, " in done.stderr


def compare(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.compare", *arguments, "--calls", "0.01"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


def test_two_checkouts_are_compared() -> None:
    done = compare(str(ROOT), "--rounds", "2", "--most", "1000")
    assert done.returncode == 0, done.stderr
    rows = [re.split(r"  +", line) for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == list(OPERATIONS)
    for _, this, other, ratio in rows:
        assert float(ratio) == pytest.approx(float(this) / float(other), rel=0.01)
    turns = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert turns == ["round 1, other", "round 1, this", "round 2, this", "round 2, other"]


def test_a_slower_checkout_is_reported() -> None:
    done = compare(str(ROOT), "--rounds", "1", "--most", "0")
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == f"More than 0 times the CPU: {', '.join(OPERATIONS)}"


def test_a_folder_that_is_not_a_checkout_is_refused(tmp_path: Path) -> None:
    done = compare(str(tmp_path), "--rounds", "1")
    assert done.returncode == 2
    assert "it has no folder pynamodb_alternator" in done.stderr
    # Nor is another package than that of the checkout, such as the one that is installed.
    (tmp_path / "pynamodb_alternator").mkdir()
    (tmp_path / "pynamodb_alternator" / "__init__.py").write_text("raise SystemExit('not this one')")
    done = compare(str(tmp_path), "--rounds", "1")
    assert done.returncode == 1
    assert "cannot be measured" in done.stderr
    assert "not this one" in done.stderr


def test_figures_become_tables_and_a_chart() -> None:
    names = (*who.MODELS, *who.CLIENTS)
    figures = {name: Figure(10.0 * number, 20.0 * number) for number, name in enumerate(names, 1)}
    kinds = ("affinity", "round robin")
    results = Results(
        operations=dict.fromkeys(who.OPERATIONS, figures),
        threads=dict.fromkeys(THREADS, figures),
        tasks={name: dict.fromkeys(tasks.TASKS, 10.0) for name in (tasks.STOCK, tasks.OURS)},
        cold_starts=dict.fromkeys(KINDS, 0.2),
        bars=[(BARS[0], Measured(0.0799, 70.0, 876.0)), (BARS[1], Measured(0.0801, 70.0, 876.0))],
        nodes={name: {size: Figure(5.0, 6.0) for size in SIZES} for name in (who.CLIENT, who.ALTERNATOR)},
        routing={f"{kind}, {size} nodes": 1.5 for kind in kinds for size in SIZES},
        plans={**dict.fromkeys(RINGS, 5.0), LOOK_UP: 0.5},
        hops={hop: (0.003 + hop / 2, 0.003) for hop in HOPS},
        starts={name: {1: (0.5, 10.0), 50: (0.55, 12.0)} for name in (who.STOCK_MODEL, who.MODEL)},
    )
    text = tables(results)
    assert f"| {who.MODEL} " in text
    assert "20.0 (2.00)" in text
    by_words = {words: (value, unit) for words, _, _, value, unit in ratios(results)}
    assert by_words["50 models: memory more than 1"] == (2.0, " MB")
    assert by_words["plan with token awareness, 100,000 ranges"] == (5.0, " µs")
    hop = next(row for row in cells(text) if row[0] == "hop of 5 ms")
    assert hop == ["hop of 5 ms", "5.50", "3.00", "0.55"]
    drawn = ElementTree.fromstring(chart(results))
    bars = [
        rectangle for rectangle in drawn.iter("{http://www.w3.org/2000/svg}rect") if rectangle.get("height") == "18"
    ]
    models = 2 + bool(rust_orm.INSTALLED)
    assert len(bars) == 5 * models + 3 * 5 + 2 * 2
    told = {row[0]: row[1:] for row in cells(text)}
    assert told[BARS[0].words] == ["≤ 0.08", "0.080", "yes"]
    assert told[BARS[1].words] == ["≤ 0.08", "0.080", "NO"]
    assert all(0 < float(bar.get("width", 0)) <= 400 for bar in bars)

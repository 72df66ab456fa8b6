"""A fleet of ten thousand clients in short: what a cluster sees of some hundreds of them stays within its bars."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks.fleet.__main__ import main
from benchmarks.fleet.charts import chart, courses
from benchmarks.fleet.client import Load
from benchmarks.fleet.figures import figures
from benchmarks.fleet.memory import megabytes
from benchmarks.fleet.report import by_node, figures_table
from benchmarks.fleet.scenarios import SCENARIOS, Scenario, run
from benchmarks.fleet.tally import KINDS, REQUESTS, Tally

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def short(name: str, clients: int, seconds: int | None = None, rate: float = 5.0) -> Scenario:
    scenario = BY_NAME[name]
    return scenario._replace(
        simulated=clients, seconds=seconds or scenario.seconds, load=scenario.load._replace(rate=rate)
    )


BARS = {
    "start": (
        short("start", 200, seconds=12),
        {"… for readings and probes, per client in five seconds": 16.0},
    ),
    "start-1000": (
        short("start-1000", 40, seconds=7),
        {"… for readings and probes, per client in five seconds": 16.0},
    ),
    "start-subset": (
        short("start-subset", 200, seconds=12),
        {"… all connections, per client in five seconds": 16.0},
    ),
    "death": (
        short("death", 400, rate=3.0),
        {
            "death: probes of the dead node a second, from 30 s after its death on": 2000.0,
            "… the most probes in a tenth of a second, relative to the mean": 3.0,
            "… the most requests of the returning node in a second, relative to its share": 1.2,
        },
    ),
}


SAMPLED = 1.05
"""How much higher a figure of some hundreds of clients may come out than that of all."""


@pytest.mark.slow
@pytest.mark.timeout(300)  # seconds where nothing else runs
@pytest.mark.parametrize("name", BARS)
def test_a_fleet_keeps_its_bars(name: str) -> None:
    scenario, limits = BARS[name]
    judged = {figure.words: figure for figure in figures({name: run(scenario)}).values()}
    assert {words: figure.limit for words, figure in judged.items() if figure.limit is not None} == limits
    assert {words: judged[words].value for words in limits if judged[words].value > SAMPLED * limits[words]} == {}


def test_a_thousand_nodes_take_no_more_than_three_megabytes() -> None:
    assert 0.1 < megabytes(1000) <= 3.0


def brief(name: str, clients: int = 3) -> Tally:
    return run(BY_NAME[name]._replace(simulated=clients, seconds=25))


def test_a_run_is_the_same_each_time() -> None:
    runs = [list(by_node(brief("rolling-restart"))) for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(runs[0]) > 25


@pytest.mark.parametrize("name", BY_NAME)
def test_each_scenario_runs_and_is_drawn(name: str) -> None:
    scenario = BY_NAME[name]._replace(simulated=2, seconds=25)
    tally = run(scenario)
    requests = tally.sum(REQUESTS)[2:]
    # Each client makes its requests, whatever befalls the nodes; but its threads wait for silent ones.
    assert (0.6 if name == "rack-cut" else 0.85) < sum(requests) / 10_000 / 23 / scenario.load.rate < 1.15
    drawn = courses(scenario, tally)
    for before in (None, drawn):
        root = ElementTree.fromstring(chart(scenario, drawn, before))
        lines = root.findall("{http://www.w3.org/2000/svg}polyline")
        assert len(lines) == 4 * (2 if before is None else 3)


def test_counts_are_for_the_whole_fleet() -> None:
    tally = Tally(3, 2, weight=100.0)
    for node, now in ((0, 0.05), (0, 0.95), (1, 0.5), (2, 1.5)):
        tally.add(REQUESTS, node, now)
    assert tally.sum(REQUESTS) == [300.0, 100.0]
    assert tally.sum(REQUESTS, [0]) == tally.of_node(REQUESTS, 0) == [200.0, 0.0]
    assert tally.busiest(REQUESTS) == [200.0, 100.0]
    assert tally.mean(REQUESTS, [1, 2]) == [50.0, 50.0]
    assert tally.per_slot(REQUESTS, 0)[:10] == [100.0, *[0.0] * 8, 100.0]
    assert all(tally.sum(kind) == [0.0, 0.0] for kind in KINDS if kind != REQUESTS)


def test_the_command_prints_each_second_and_the_figures(capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
    assert main(["--only", "hot-key", "--part", "0.02", "--csv", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "\n 19 " in shown
    assert "hot key: the busiest node's requests, relative to the mean" in shown
    assert figures_table({}, {}).startswith("|  ")
    assert Load().threads == 2

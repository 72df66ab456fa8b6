"""Nodes, findings and routes as the shell, Flask and Django show them."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from pynamodb_alternator import KeyRouteAffinity
from pynamodb_alternator.diagnostics import Finding, KeyRoute
from pynamodb_alternator.shell.render import NodeLine, show_finding, show_nodes, show_route, show_total
from pynamodb_alternator.shell.screen import Screen
from pynamodb_alternator.topology.health import State
from pynamodb_alternator.topology.node_info import NodeInfo


class Paper(io.StringIO):
    encoding = "ascii"


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Paper:
    monkeypatch.setenv("COLUMNS", "100")
    return Paper()


WELL = NodeInfo("10.0.0.1:8000", State.ACTIVE, "dc1", "r1", True, 0, None, None)
DEAD = NodeInfo("10.0.0.2:8000", State.ACTIVE, None, None, True, 3, None, None)
FAR = NodeInfo("10.0.1.1:8000", State.QUARANTINED, "dc2", "r1", False, 0, None, None)


HOSTILE = "shop/1\x1b[2J\x07 \u202ecba\x9b2J\ud800 é"
"""What another program may call itself: it clears the screen of a terminal, and writes from right to left."""
HARMLESS = r"shop/1\x1b[2J\x07 \u202ecba\x9b2J\ud800 é"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_control_characters_are_shown_and_not_obeyed(kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    out = kind()
    screen = Screen(out=out)
    screen.table(["program", "nodes"], [[(HOSTILE, ""), ("1", "")]])
    screen.paragraph(f"two\nlines {HOSTILE}")
    screen.line((HOSTILE, ""))
    bold = re.compile(r"\x1b\[[01]m")
    written = [line.rstrip() for line in bold.sub("", out.getvalue()).splitlines()]
    assert written == [
        f"{'program'.ljust(len(HARMLESS))}  nodes",
        f"{HARMLESS}  1",
        f"two lines {HARMLESS}",
        HARMLESS,
    ]


def test_nodes_by_their_answers(paper: Paper) -> None:
    answers: list[float | Exception | str] = [0.0004, OSError("Connection refused"), 0.0123]
    lines = [NodeLine.of(node, answer) for node, answer in zip((WELL, DEAD, FAR), answers, strict=True)]
    show_nodes(Screen(out=paper), lines, "datacenter dc1")
    assert paper.getvalue().splitlines() == [
        "address        datacenter  rack  state   latency",
        "10.0.0.1:8000  dc1         r1    active  0.40 ms",
        "10.0.0.2:8000  -           -     down          -",
        "10.0.1.1:8000  dc2         r1    active  12.3 ms",
        "",
        "Connection refused",
        "3 nodes, 2 of them answer; the scope is datacenter dc1 (1 is outside of it).",
    ]


def test_a_node_that_is_set_aside(paper: Paper) -> None:
    aside = NodeInfo("10.0.0.3:8000", State.ACTIVE, "dc1", "r1", True, 0, None, None, 3.6, "20 of its last 20 failed")
    show_nodes(Screen(out=paper), [NodeLine.of(node, 0.001) for node in (WELL, aside)], "cluster")
    assert paper.getvalue().splitlines() == [
        "address        datacenter  rack  state      latency",
        "10.0.0.1:8000  dc1         r1    active      1.0 ms",
        "10.0.0.3:8000  dc1         r1    set_aside   1.0 ms",
        "",
        "10.0.0.3:8000 goes last for 4 s more: 20 of its last 20 failed",
        "2 nodes, 2 of them answer; the scope is cluster.",
    ]


def test_nodes_of_a_subset_and_one_that_starts_slowly(paper: Paper) -> None:
    young = WELL._replace(address="10.0.0.3:8000", starts_for=6.6, share=4 / 11)
    other = WELL._replace(address="10.0.0.4:8000", in_subset=False)
    lines = [NodeLine.of(node, 0.001) for node in (WELL, young, other, FAR._replace(in_subset=False))]
    show_nodes(Screen(out=paper), lines, "datacenter dc1")
    assert paper.getvalue().splitlines() == [
        "address        datacenter  rack  state   subset         latency",
        "10.0.0.1:8000  dc1         r1    active  in the subset   1.0 ms",
        "10.0.0.3:8000  dc1         r1    active  in the subset   1.0 ms",
        "10.0.0.4:8000  dc1         r1    active  -               1.0 ms",
        "10.0.1.1:8000  dc2         r1    active  -               1.0 ms",
        "",
        "10.0.0.3:8000 starts slowly: it has 36% of its share now, all in 7 s.",
        "4 nodes, 4 of them answer; the scope is datacenter dc1 (1 is outside of it); 2 of its nodes are in",
        "the subset.",
    ]
    paper.truncate(0)
    show_nodes(Screen(out=paper), [line for line in lines if line.in_subset or not line.in_scope], "cluster")
    assert "subset" not in paper.getvalue()


@pytest.mark.parametrize(
    ("state", "set_aside_for", "condition"),
    [
        (State.ACTIVE, None, "active"),
        (State.QUARANTINED, None, "quarantined"),
        (State.DOWN, None, "down"),
        (State.ACTIVE, 1.0, "set_aside"),
        (State.QUARANTINED, 1.0, "set_aside"),
        (State.DOWN, 1.0, "down"),
    ],
)
def test_the_condition_of_a_node(state: State, set_aside_for: float | None, condition: str) -> None:
    assert NodeInfo("a:1", state, None, None, True, 0, None, None, set_aside_for).condition == condition


def test_an_empty_list_of_nodes_is_explained(paper: Paper) -> None:
    show_nodes(Screen(out=paper), [], "cluster")
    assert paper.getvalue().splitlines() == [
        "no nodes; the scope is cluster.",
        "No node has told a list of nodes in this scope.",
    ]


FINDINGS = [
    Finding("rack_support", "ok", "shop", "It knows racks."),
    Finding("reachability", "error", "10.0.0.2:8000", "Connection refused.", "Start it."),
]


def test_findings_are_printed_with_their_remedies(paper: Paper) -> None:
    screen = Screen(out=paper)
    for finding in FINDINGS:
        show_finding(screen, finding, "shop")
    show_total(screen, FINDINGS)
    assert paper.getvalue().splitlines() == [
        "+ rack support          It knows racks.",
        "x reachability          10.0.0.2:8000: Connection refused.",
        "                      > Start it.",
        "",
        "1 fine, no warnings, 1 error",
    ]


def test_findings_in_a_narrow_terminal(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    show_finding(Screen(out=paper), FINDINGS[1], "shop")
    assert paper.getvalue().splitlines() == [
        "x reachability",
        "    10.0.0.2:8000: Connection refused.",
        "  > Start it.",
    ]


def test_a_route_is_printed(paper: Paper) -> None:
    nodes = ("10.0.0.1:8000", "10.0.0.2:8000")
    ring = (*nodes, "10.0.0.3:8000")
    route = KeyRoute("orders", "id", {"S": "a"}, KeyRouteAffinity.RMW, 7, nodes, ring, None, "Because.")
    route = replace(route, ring_scope="datacenter dc1", ring_order="endpoint_with_port")
    route = replace(route, replicas_explanation="For no reason.")
    show_route(Screen(out=paper), route, "a", write_isolation="always", silent=ring[1:], notes=["By the way."])
    assert paper.getvalue().splitlines() == [
        "table          orders, write isolation always",
        "key            id = a (S)",
        "hash           7",
        "affinity       rmw",
        "ring           datacenter dc1: 3 nodes, sorted by endpoint with port",
        "why            Because.",
        "token          none",
        "replicas       not known. For no reason.",
        "",
        "the plan of its writes",
        "   1  10.0.0.1:8000",
        "   2  10.0.0.2:8000  does not answer now",
        "10.0.0.3:8000 does not answer, and has no place in the plan until it does.",
        "By the way.",
    ]


def test_a_route_with_replicas(paper: Paper) -> None:
    a, b, c = (f"10.0.0.{number}:8000" for number in (1, 2, 3))
    route = KeyRoute("orders", "id", {"S": "a"}, KeyRouteAffinity.NONE, 7, (), (a, b), "affinity_off", "It is off.")
    route = replace(route, token=-9, replicas=(a, b), all_replicas=(a, b, c), token_ring_age=3.21)
    route = replace(route, replicas_explanation="Because.", reads=(b, a), plain_writes=(a, b))
    show_route(Screen(out=paper), route, "a")
    assert paper.getvalue().splitlines()[6:] == [
        "token          -9",
        "replicas       10.0.0.1:8000, 10.0.0.2:8000 (outside of the scope: 10.0.0.3:8000)",
        "token ring     read 3.2 s ago. Because.",
        "next read      10.0.0.2:8000, then 10.0.0.1:8000",
        "plain writes   10.0.0.1:8000, then 10.0.0.2:8000",
    ]


def test_the_route_of_a_key_of_an_index(paper: Paper) -> None:
    route = KeyRoute("orders", "city", {"S": "a"}, KeyRouteAffinity.RMW, None, (), (), "read", "It is only read.")
    route = replace(route, index="by_city", token=5, token_ring_age=300.0, replicas_reason="no_replica_in_scope")
    show_route(Screen(out=paper), replace(route, replicas_explanation="Nowhere near."), "a")
    assert paper.getvalue().splitlines() == [
        "table          orders",
        "index          by_city",
        "key            city = a (S)",
        "token          5",
        "replicas       none",
        "token ring     read 5 min ago. Nowhere near.",
    ]


@pytest.mark.parametrize("columns", [24, 30, 40, 47])
def test_labels_and_values_of_a_route_in_a_narrow_terminal(
    paper: Paper, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    route = KeyRoute("orders", "id", {"S": "a"}, KeyRouteAffinity.RMW, 7, ("10.0.0.1:8000",), (), None, "Because.")
    show_route(Screen(out=paper), replace(route, token=-8839064797231613815), "a", write_isolation="always")
    lines = paper.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    for label in ("table", "key", "hash", "affinity", "ring", "why", "token", "replicas"):
        assert label in lines
    assert "  -8839064797231613815" in lines


def test_an_output_without_an_encoding_accepts_every_character() -> None:
    out = io.StringIO()
    show_finding(Screen(out=out), FINDINGS[0], "shop")
    assert out.getvalue().startswith("✓ rack support")

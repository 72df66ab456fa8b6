"""The Grafana dashboard, the alerts and the tables of the documentation ask for what the exporter has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from pynamodb_alternator import Cluster, signals
from pynamodb_alternator.contrib import prometheus
from pynamodb_alternator.contrib._watch import STATES
from pynamodb_alternator.errors import ReadTimeoutError
from pynamodb_alternator.local import LocalCluster

from . import promql
from .support import ROOT
from .test_prometheus import completed

DASHBOARD = json.loads((ROOT / "docs/grafana-dashboard.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs/observability.md").read_text(encoding="utf-8")

PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ON_PANELS = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
ON_PAGE = [
    *(("alert", text) for text in re.findall(r"^  expr: (.+)$", PAGE, re.MULTILINE)),
    *(("example", text) for text in re.findall(r"```text\n((?:sum|histogram)[^`]+)```", PAGE)),
]

Exported = dict[str, dict[str, set[str]]]
"""Of each sample the labels, and the values that they have."""


@pytest.fixture(scope="module")
def exported() -> Exported:
    """What the exporter has after everything has happened once."""
    registry = CollectorRegistry()
    with prometheus.instrument(registry), LocalCluster(nodes=1) as local, Cluster(local.url) as cluster:
        cluster.client.list_tables()
        cluster.refresh()
        for outcome in ("won", "lost"):
            completed(attempts=2, hedge=outcome)
        for on_replica in (True, False):
            completed(policy="replica", reason=None, on_replica=on_replica)
        for operation in ("BatchGetItem", "Query", "Scan"):
            completed(operation=operation)
        for status in (400, 500, 503):
            completed(status=status)
        completed(operation="PutItem", status=None, error=ReadTimeoutError("it is silent"), policy="affinity")
        request = {"cluster_name": "c", "operation": "GetItem", "table_name": "t", "request_id": "1-1", "own": False}
        retry = {"from_node": "a:1", "to_node": "b:1", "attempt": 2, "error": "status 503"}
        node = {"cluster_name": "c", "node": "a:1"}
        aside = {"error": "status 503", "answers": 20, "failed": 20, "period": 5.0, "times": 1}
        failed = {"tried": ["a:1"], "error": "silent", "consecutive": 1, "stale_for": None}
        signals.emit(signals.request_retried, object(), **request, **retry)
        signals.emit(signals.affinity_fallback, object(), **request, reason="no_key_value")
        signals.emit(signals.no_nodes_available, object(), **request, scope="cluster", error="none")
        signals.emit(signals.node_set_aside, object(), **node, **aside)
        signals.emit(signals.discovery_failed, object(), cluster_name="c", **failed)
        return _samples(registry)


def _samples(registry: CollectorRegistry) -> Exported:
    exported: Exported = {}
    for metric in registry.collect():
        for sample in metric.samples:
            labels = exported.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return exported


def matching(matcher: promql.Matcher) -> re.Pattern[str]:
    return re.compile(matcher.value if matcher.operator in ("=~", "!~") else re.escape(matcher.value))


@pytest.mark.parametrize(("where", "text"), [*ON_PANELS, *ON_PAGE])
def test_each_query_asks_for_what_is_exported(where: str, text: str, exported: Exported) -> None:
    query = promql.parse(text)
    labels: set[str] = set()
    for selector in query.selectors:
        assert selector.metric in exported, where
        known = exported[selector.metric]
        labels |= known.keys()
        for matcher in selector.matchers:
            assert matcher.label in known, (where, selector)
            if matcher.value == "$cluster":
                assert (matcher.label, matcher.operator) == ("cluster_name", "=~")
            elif matcher.operator in ("=", "=~"):
                # There is such a series, or the query shows nothing for ever.
                assert any(matching(matcher).fullmatch(value) for value in known[matcher.label]), (where, matcher)
    assert query.grouping <= labels, where
    assert "histogram_quantile" not in query.functions or "le" in query.grouping, where


@pytest.mark.parametrize(("where", "text"), [*ON_PANELS, *ON_PAGE])
def test_counters_are_looked_at_over_time_and_gauges_are_not(where: str, text: str) -> None:
    query = promql.parse(text)
    for metric, _, window in query.selectors:
        is_counter = metric.endswith(("_total", "_bucket", "_count", "_sum"))
        assert bool(window) is is_counter, where
    assert bool(query.functions & {"rate", "increase"}) == any(window for _, _, window in query.selectors), where


def test_every_panel_is_of_the_chosen_clusters_and_says_what_it_shows() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            for selector in promql.parse(target["expr"]).selectors:
                assert any(matcher.value == "$cluster" for matcher in selector.matchers), panel["title"]
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert shown <= promql.parse(target["expr"]).grouping, panel["title"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "cluster"]


def test_the_choice_of_clusters_is_exported(exported: Exported) -> None:
    (variable,) = [variable for variable in DASHBOARD["templating"]["list"] if variable["name"] == "cluster"]
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
    assert label in exported[metric]


def test_every_metric_is_on_a_panel(exported: Exported) -> None:
    on_panels = {selector.metric for _, text in ON_PANELS for selector in promql.parse(text).selectors}
    own = {name for name in exported if not name.endswith(("_created", "_sum", "_count"))}
    assert own == {name for name in on_panels if not name.endswith("_count")}


def rows() -> Iterator[tuple[str, str, str]]:
    """The table of metrics on the page: name, type, labels."""
    yield from re.findall(r"^\| `(alternator_client_\w+)` \| (\w+) \| [^|]+ \| (.+) \|$", PAGE, re.MULTILINE)


def test_the_page_has_each_metric_with_its_labels(exported: Exported) -> None:
    on_page = {
        name + ("_bucket" if kind == "histogram" else ""): set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", labels)))
        for name, kind, labels in rows()
    }
    assert on_page == {
        name: labels.keys() - {"le"}
        for name, labels in exported.items()
        if not name.endswith(("_created", "_sum", "_count"))
    }
    assert exported["alternator_client_nodes"]["state"] == set(STATES)


@pytest.mark.parametrize(
    "text",
    [
        "sum(rate(alternator_client_requests_total[5m])",
        "sum(rate(somebody_elses_total[5m]))",
        'rate(alternator_client_requests_total{status=200"}[5m])',
        "rate(alternator_client_requests_total{status=200}[5m])",
        "sum(1)",
        "avg(alternator_client_nodes)",
    ],
)
def test_a_query_that_is_wrong_is_seen(text: str) -> None:
    with pytest.raises(ValueError, match=r"balanced|neither|condition|no metric"):
        promql.parse(text)

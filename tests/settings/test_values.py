"""Groups of settings: each value is checked when it is made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pynamodb_alternator.settings.values import Credentials, Discovery, Health, Hedge, Retries, Timeouts, hedge

from .support import refused


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        *((Timeouts, name, bad) for name in ("connect", "read") for bad in (0, -1, None, "1", float("nan"), True)),
        *((Timeouts, "total", bad) for bad in (0, float("inf"), "x", 1e300)),
        *((Retries, "max_attempts", bad) for bad in (0, 101, 1.5, None, True)),
        *((Retries, name, 0) for name in ("backoff_base", "backoff_max")),
        *((Retries, "silent_writes", bad) for bad in ("", "RAISE", None, True, 1)),
        *((Hedge, "after", bad) for bad in (0, -1, None, "p98", "0.05", float("nan"), True)),
        *((Hedge, "max_extra", bad) for bad in (-0.1, 1.1, None, "1", float("nan"), True)),
        *((Discovery, name, bad) for name in ("active_interval", "active_interval_max") for bad in (0, -1, "1", True)),
        *((Discovery, "active_interval_max", bad) for bad in (0.5, float("nan"), 1e9)),
        *((Discovery, name, 0) for name in ("interval", "idle_interval", "idle_after", "timeout")),
        *((Discovery, name, bad) for name in ("startup_wait", "scope_restore_after") for bad in (-1, None, 1e9)),
        *((Health, name, 0) for name in ("active_failure_threshold", "down_recovery_threshold")),
        *((Health, name, 0) for name in ("quarantine_promotion_threshold", "quarantine_failure_threshold")),
        *((Health, name, 0) for name in ("max_parallel_probes", "probe_interval", "probe_timeout", "suspect_after")),
    ],
)
def test_wrong_nested_settings_are_refused(kind: type, field: str, value: Any) -> None:
    refused(lambda: kind(**{field: value}), f"{kind.__name__}: {field}")


def test_what_may_be_written_for_a_hedge() -> None:
    assert hedge("x", None) is None
    assert hedge("x", False) is None
    assert hedge("x", {"after": 0.05}) == Hedge(0.05)
    assert hedge("x", {}) == hedge("x", Hedge()) == Hedge("p99", 0.05)
    assert Hedge(max_extra=0).max_extra == 0
    for wrong, words in (
        (True, ("ClusterConfig: hedge must be Hedge(...)", "(got True)")),
        (0.05, ("Hedge(after=0.05)",)),
        ({"before": 1}, ("does not take 'before'",)),
        ({"after": "soon"}, ("Hedge: after must be", "or 'p99' (got 'soon')")),
    ):
        refused(lambda wrong=wrong: hedge("ClusterConfig: hedge", wrong), *words)


def test_how_long_the_interval_of_readings_may_grow() -> None:
    assert (Discovery().longest_interval, Discovery(interval=7).longest_interval) == (1.0, 7)
    assert Discovery(active_interval=2, active_interval_max=30) == Discovery(interval=2, active_interval_max=30)
    assert Discovery(active_interval_max=30).longest_interval == 30
    assert replace(Discovery(active_interval=2), timeout=1.0).interval == 2
    refused(lambda: Discovery(interval=5, active_interval_max=4), "at least interval, which is 5 (got 4)", "or None")


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_number_that_no_float_can_hold(digits: int) -> None:
    refused(lambda: Timeouts(connect=10**digits), "Timeouts: connect")


def test_zero_means_not_waiting_where_that_makes_sense() -> None:
    assert Discovery(startup_wait=0, scope_restore_after=0).startup_wait == 0
    assert Timeouts(total=None).total is None
    assert (Timeouts().pool, Timeouts(pool=None).pool) == (30.0, None)
    refused(lambda: Timeouts(pool=0), "Timeouts: pool", "None for no limit")


@pytest.mark.parametrize(
    "arguments",
    [("", "s"), ("a", ""), (None, "s"), ("a", None), (b"a", "s"), ("a\n", "s"), ("a", "s", ""), ("a", "s", "t\r")],
)
def test_wrong_credentials_are_refused(arguments: tuple[Any, ...]) -> None:
    refused(lambda: Credentials(*arguments), "Credentials: ")

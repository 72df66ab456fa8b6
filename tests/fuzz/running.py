"""Runs of the state machine for a bounded time, each from a seed of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import MACHINES, Machine

STEPS = 40


@contextmanager
def _quiet() -> Iterator[None]:
    """Nodes that go down and up are what these runs are about: the library need not log each."""
    log = logging.getLogger("pynamodb_alternator")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def fuzz(kind: str, seconds: float, first_seed: int, *, examples: int = 4, shrink: bool = False) -> int:
    """Run the machine for `kind` of users for about so many seconds; the number of seeds that were used.

    `shrink`: look for the shortest run that fails. Raises what a run found wrong; its steps and the seed are printed.
    """
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        verbosity=Verbosity.normal,
        report_multiple_bugs=False,
    )
    end = time.monotonic() + seconds
    number = first_seed
    with _quiet():
        while time.monotonic() < end:
            print(f"{kind}: seed {number}", flush=True)
            machine = seed(number)(type(f"Seeded{number}", (MACHINES[kind],), {}))
            known = len(Machine.findings)
            try:
                run_state_machine_as_test(machine, settings=chosen)
            finally:
                for finding in Machine.findings[known:]:
                    print(f"{kind}, seed {number}: {finding}", flush=True)
            number += 1
    return number - first_seed

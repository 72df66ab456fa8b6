"""What all requests of a cluster share."""

from __future__ import annotations

import random as _random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from blinker import NamedSignal

from ..routing.router import Router
from ..topology.membership import Membership
from .budget import RetryBudget
from .counts import Counts

__all__ = ["Emit", "Environment"]


class Emit(Protocol):
    def __call__(self, signal: NamedSignal, **payload: Any) -> None:
        """Send a signal of the cluster. `payload`: the fields of its event, except `cluster_name`."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What all requests of a cluster share."""

    membership: Membership
    router: Router
    budget: RetryBudget
    emit: Emit
    clock: Callable[[], float]
    random: _random.Random
    retry_ambiguous_writes: bool = False
    counts: Counts = field(default_factory=Counts)

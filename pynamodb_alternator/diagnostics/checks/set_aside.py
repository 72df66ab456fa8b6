"""Is a node set aside, because its answers to requests fail?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..values import Finding

if TYPE_CHECKING:
    from ..examination import Examination

__all__ = ["check"]


def check(examination: Examination) -> Iterator[Finding]:
    """The nodes that are set aside in this process. Other checks report nodes that are down."""
    for info in examination.inside.membership.nodes():
        if info.condition == "set_aside":
            yield Finding(
                "set_aside",
                "warning",
                info.address,
                f"It is set aside, and is last in query plans for {info.set_aside_for:.0f} more s: its answers to "
                f"requests fail far more often than those of the other nodes ({info.set_aside_because}).",
                "Look at the node's log, and whether a proxy answers in its place. It will get traffic again "
                "automatically, and is set aside for longer each time while its answers still fail.",
            )

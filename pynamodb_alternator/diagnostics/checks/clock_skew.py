"""Do this machine's clock and the nodes' clocks agree well enough for signatures?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..values import Finding
from ..words import duration

if TYPE_CHECKING:
    from ..examination import Examination

__all__ = ["check"]

_ID = "clock_skew"
_ALLOWED = 15 * 60
"""The largest difference between the time of a signature and the server's clock that the server accepts, in seconds."""
_WORTH_A_WARNING = 60


def check(examination: Examination) -> Iterator[Finding]:
    name = examination.config.name
    skews = {report.subject: report.skew for report in examination.well if report.skew is not None}
    if not skews:
        yield Finding(_ID, "ok", name, "The nodes tell no time (no Date header), so clocks are unknown.")
        return
    signed = examination.config.credentials is not None
    most = max(map(abs, skews.values()))
    for subject, skew in skews.items():
        if abs(skew) > _WORTH_A_WARNING:
            yield _too_large(subject, skew, signed=signed)
    if most <= _WORTH_A_WARNING:
        yield Finding(_ID, "ok", name, f"Clocks agree within {max(1.0, most):.0f} s.")


def _too_large(subject: str, skew: float, *, signed: bool) -> Finding:
    refused = abs(skew) > _ALLOWED
    if not refused:
        consequence = "from 15 minutes on signed requests are refused"
    elif signed:
        consequence = "signed requests are refused"
    else:
        consequence = "signed requests would be refused; yours are not signed"
    ahead = "ahead of" if skew > 0 else "behind"
    return Finding(
        _ID,
        "error" if refused and signed else "warning",
        subject,
        f"This machine's clock is {duration(abs(skew))} {ahead} the node's: {consequence}.",
        "Set both clocks by NTP (`timedatectl status`, `chronyc tracking`).",
    )

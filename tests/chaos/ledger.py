"""Compares what callers were told about their writes with what the nodes executed.

A caller is told one of four things of a write, and each promises something of its executions. `Ledger.broken` compares
these promises with the log of a `RecordingEngine`:

- acknowledged: it was executed before, and never is again (its copy would undo newer writes of its key);
- refused (`NotSentError`, an error answer that says so): it was never executed, and never is;
- closed (`OutcomeUnknownError` without `may_still_execute`): what has not happened by then does not happen any more;
- open (`OutcomeUnknownError` with `may_still_execute`; a cancelled task): it may be executed at any time.

And whatever the caller was told: an increment, a list append or a conditional write is executed once at most.
"""

from __future__ import annotations

import enum
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from botocore.exceptions import ClientError

from pynamodb_alternator.errors import NotSentError, OutcomeUnknownError

from .recording import Executed, RecordingEngine


class Fate(enum.Enum):
    """What a caller was told."""

    ACKNOWLEDGED = "acknowledged"
    CONDITION_FAILED = "its condition failed"
    REFUSED = "refused"
    CLOSED = "unknown, closed"
    OPEN = "unknown, open"


@dataclass(slots=True)
class Write:
    """One write. `told_at`: how many executions there were when its caller was told `fate`."""

    name: str
    key: str
    kind: str
    once: bool
    """Whether it may be executed once at most."""
    fate: Fate | None = None
    told_at: int = 0
    reason: str = ""


class Ledger:
    """The writes of one run. From any thread."""

    def __init__(self, engine: RecordingEngine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._writes: dict[str, Write] = {}
        self.wrong: list[str] = []
        """What broke beside the promises of writes: answers that belong to another request, errors of no known kind."""

    def begin(self, key: str, kind: str, *, once: bool) -> Write:
        with self._lock:
            write = Write(f"w{next(self._numbers)}", key, kind, once)
            self._writes[write.name] = write
        return write

    def told(self, write: Write, fate: Fate, reason: str = "") -> None:
        """A caller was told of the fate of its write. Call it at once: what is executed from now on counts as late."""
        write.told_at = len(self._engine.log)
        write.reason = reason
        write.fate = fate

    def writes(self) -> list[Write]:
        with self._lock:
            return list(self._writes.values())

    def mark(self) -> int:
        """The present length of the log."""
        return len(self._engine.log)

    def values_since(self, key: str, mark: int) -> set[str | None]:
        """The writes that a read of the key may show, if it began at `mark` and ends now."""
        applied = [entry for entry in list(self._engine.log) if entry.key == key and entry.applied]
        before = [entry.write for entry in applied if entry.number < mark]
        return {before[-1] if before else None, *(entry.write for entry in applied if entry.number >= mark)}

    def broken(self) -> list[str]:
        """The promises that do not hold; empty if all do."""
        # First what was told, and then what was executed: whatever was told by then has been executed by then.
        writes = [replace(write) for write in self.writes()]
        executions: dict[str, list[Executed]] = {}
        for entry in list(self._engine.log):
            executions.setdefault(entry.write, []).append(entry)
        mistakes = list(self.wrong)
        for write in writes:
            mistakes += broken(write, executions.get(write.name, ()))
        return mistakes

    def count(self) -> dict[str, int]:
        """How many writes there were of each fate."""
        fates = [write.fate.value if write.fate else "under way" for write in self.writes()]
        return {fate: fates.count(fate) for fate in sorted(set(fates))}


def broken(write: Write, executions: Sequence[Executed]) -> list[str]:
    """The promises that these executions of a write break, in words."""
    mistakes = []
    label = f"{write.kind} {write.name} of {write.key}"
    fate = write.fate
    if write.once and len(executions) > 1:
        mistakes.append(f"{label}: executed {len(executions)} times")
    if fate is None or fate is Fate.OPEN:
        return mistakes
    late = [entry.number for entry in executions if entry.number >= write.told_at]
    if late:
        mistakes.append(f"{label}: {fate.value} after {write.told_at} executions, and executed as no. {late}")
    if fate is Fate.ACKNOWLEDGED and not any(entry.applied for entry in executions):
        mistakes.append(f"{label}: acknowledged, and never executed")
    if fate is Fate.REFUSED and executions:
        mistakes.append(f"{label}: refused ({write.reason}), and executed")
    if fate is Fate.CONDITION_FAILED and any(entry.applied for entry in executions):
        mistakes.append(f"{label}: its condition failed, and it was applied")
    return mistakes


def fate_of(error: BaseException) -> Fate | None:
    """What an error says about a write. None for an error of an unknown kind."""
    if isinstance(error, OutcomeUnknownError):
        return Fate.OPEN if error.may_still_execute else Fate.CLOSED
    if isinstance(error, NotSentError):
        return Fate.REFUSED
    if isinstance(error, ClientError):
        is_condition = error.response["Error"]["Code"] == "ConditionalCheckFailedException"
        return Fate.CONDITION_FAILED if is_condition else Fate.REFUSED
    return None

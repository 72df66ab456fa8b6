"""Writers that overwrite the same keys, while nodes freeze, hang and answer late.

A frozen node executes what lies in its sockets when it is thawed, and a late one when its delay is over: both on top
of what was written meanwhile. So a writer does what the documentation tells it to: after an `OutcomeUnknownError` it
leaves that key alone, reads it after the thaw, and goes on from what it finds. The engine records every execution. No
acknowledged write may be executed again after its acknowledgement: such a copy undoes what was acknowledged since.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pynamodb_alternator import Cluster, Health
from pynamodb_alternator.local import LocalCluster

from .chaos import Chaos
from .ledger import Fate, Ledger, Write, broken, fate_of
from .recording import Executed, RecordingEngine
from .support import TABLE, until

READ_TIMEOUT = 1.5
HEALTH = Health(suspect_after=0.3, probe_timeout=0.5, probe_interval=0.2)
"""Quicker than the default, so that the short form is short."""
_WRITERS = 6
_KEYS_EACH = 4


@dataclass(slots=True)
class _Key:
    """A key as its only writer knows it. `stopped_at`: the number of thaws when its write went missing."""

    name: str
    acknowledged: str | None = None
    open: set[str] = field(default_factory=set)
    """Writes whose outcome is unknown."""
    stopped_at: int | None = None


class Overwriting(Chaos):
    """Six writers, each with four keys of its own, which it overwrites in turn."""

    def __init__(
        self, name: str, local: LocalCluster, cluster: Cluster, rng: random.Random, engine: RecordingEngine
    ) -> None:
        super().__init__(name, local, cluster, rng)
        self.engine = engine
        self.ledger = Ledger(engine)
        self.thaws = 0
        """How often all nodes were well again, and had executed what they had."""
        self._keys = [[_Key(f"k{writer}-{key}") for key in range(_KEYS_EACH)] for writer in range(_WRITERS)]
        self._turns = Counter[int]()

    def users(self) -> Sequence[Callable[[int], None]]:
        return [self.overwrite] * _WRITERS

    def overwrite(self, writer: int) -> None:
        self._turns[writer] += 1
        key = self._keys[writer][self._turns[writer] % _KEYS_EACH]
        if key.stopped_at is None:
            self._write(writer, key)
        elif key.stopped_at < self.thaws:
            self._look(writer, key)
        elif all(other.stopped_at is not None for other in self._keys[writer]):
            self.stop.wait(0.01)

    def _write(self, writer: int, key: _Key) -> None:
        write = self.ledger.begin(key.name, "put", once=False)
        item = {"id": {"S": key.name}, "write": {"S": write.name}}
        thaws = self.thaws
        with self.request(writer, may_be_unknown="if silent") as request:
            self.cluster.client.put_item(TableName=TABLE, Item=item)
            self.ledger.told(write, Fate.ACKNOWLEDGED)
            key.acknowledged = write.name
        if request.error is not None:
            self.ledger.told(write, fate_of(request.error) or Fate.OPEN, str(request.error))
            if write.fate in (Fate.OPEN, Fate.CLOSED):
                key.open.add(write.name)
                key.stopped_at = thaws

    def _look(self, writer: int, key: _Key) -> None:
        with self.request(writer) as request:
            answer = self.cluster.client.get_item(TableName=TABLE, Key={"id": {"S": key.name}}, ConsistentRead=True)
        if request.ok:
            shown = answer["Item"]["write"]["S"] if "Item" in answer else None
            if shown != key.acknowledged and shown not in key.open:
                self.row.lost += 1
                self.note(f"{key.name} has {shown}, where {key.acknowledged} was acknowledged and {key.open} are open")
            key.acknowledged, key.stopped_at = shown, None

    @contextmanager
    def until_executed(self) -> Iterator[None]:
        """After the block: wait until the nodes have executed the open writes, and let the writers go on."""
        yield
        missing = {write.name for write in self.ledger.writes() if write.fate is Fate.OPEN}
        # Each of them had left: it lies in a socket, or waits in a node.
        until(lambda: missing <= {entry.write for entry in self.engine.log}, "open writes are executed")
        self.thaws += 1

    def verify(self) -> None:
        executions: dict[str, list[Executed]] = {}
        for entry in self.engine.log:
            executions.setdefault(entry.write, []).append(entry)
        writes = {write.name: write for write in self.ledger.writes()}
        row = self.row
        row.acknowledged = sum(write.fate is Fate.ACKNOWLEDGED for write in writes.values())
        for write in writes.values():
            own = executions.get(write.name, [])
            for text in broken(write, own):
                self.note(text)
            if write.fate is Fate.ACKNOWLEDGED and not own:
                row.lost += 1
            elif write.fate in (Fate.ACKNOWLEDGED, Fate.CLOSED, Fate.REFUSED):
                late = [entry for entry in own if entry.number >= write.told_at]
                row.twice += len(late)
                row.lost += sum(self._undoes(write, entry, writes) for entry in late)

    def _undoes(self, write: Write, late: Executed, writes: dict[str, Write]) -> bool:
        """Whether a newer write of the key had been acknowledged when this copy was executed."""
        newer = [other.write for other in self.engine.log[write.told_at : late.number] if other.key == write.key]
        return any(writes[name].fate is Fate.ACKNOWLEDGED for name in newer if name != write.name)


def overwrite(chaos: Overwriting) -> None:
    """A node freezes, another hangs, and another answers late: later than the read timeout, or just in time."""
    node = chaos.victim()
    with chaos.until_executed(), chaos.fault(takes_down=True):
        node.freeze()
        try:
            chaos.until_down()
            chaos.pause(0.3)
        finally:
            node.thaw()
    node = chaos.victim()
    with chaos.until_executed(), chaos.fault(takes_down=True):
        node.hang()
        chaos.until_down()
        chaos.pause(0.3)
        node.resume()
    node = chaos.victim()
    with chaos.until_executed(), chaos.fault():
        fault = node.delay(READ_TIMEOUT + chaos.random.uniform(-0.3, 0.5))
        chaos.pause(1.0)
        fault.cancel()

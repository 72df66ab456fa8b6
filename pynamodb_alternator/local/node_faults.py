"""The faults that a test can put on a node: the methods of `LocalNode` that spoil answers."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import ConfigurationError
from ..settings import checks
from .answers import error_answer
from .faults import Effect, Fault, Faults


class NodeFaults:
    """Each method adds a fault, which strikes later requests; see `Fault`.

    All methods may be called from any thread. If several faults match a request, their delays are added, and only the
    oldest of the other faults strikes.
    """

    def __init__(self) -> None:
        self._faults = Faults()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that have not ended, oldest first."""
        return self._faults.rules

    def delay(
        self,
        seconds: float,
        *,
        operation: str | Iterable[str] | None = None,
        times: int | None = None,
        after: bool = False,
    ) -> Fault:
        """Wait `seconds` before a request is executed (with `after`: between its execution and its answer)."""
        checks.positive("LocalNode.delay: seconds", seconds)
        effect = Effect(delay_after=seconds) if after else Effect(delay=seconds)
        return self._faults.add("delay", effect, operation, times)

    def fail_with(
        self,
        error_type: str,
        *,
        status: int | None = None,
        message: str = "a fault on demand",
        times: int | None = None,
        executed: bool = False,
        operation: str | Iterable[str] | None = None,
    ) -> Fault:
        """Answer with an error, such as InternalServerError or RequestLimitExceeded.

        `executed`: the request is executed, although the answer is an error. `status`: by default the HTTP status that
        Alternator has for this error type.
        """
        effect = Effect(execute=executed, answer=error_answer(error_type, message, status))
        return self._faults.add("fail_with", effect, operation, times)

    def reset_mid_answer(self, times: int | None = 1, *, operation: str | Iterable[str] | None = None) -> Fault:
        """Execute, send the head and half of the body, then reset the connection (RST)."""
        return self._faults.add("reset_mid_answer", Effect(wire="reset"), operation, times)

    def truncate_answer(self, times: int | None = 1, *, operation: str | Iterable[str] | None = None) -> Fault:
        """Execute, send the head and half of the body, then close the connection normally (FIN)."""
        return self._faults.add("truncate_answer", Effect(wire="truncate"), operation, times)

    def garbage_answer(
        self,
        times: int | None = 1,
        *,
        data: bytes = b"\x16\x03\x01 this is not HTTP \xff\xfe\r\n\r\n",
        operation: str | Iterable[str] | None = None,
    ) -> Fault:
        """Execute, send `data` in place of an HTTP answer, and close."""
        return self._faults.add("garbage_answer", Effect(wire="garbage", garbage=data), operation, times)

    def cut_chunked(self, times: int | None = 1, *, operation: str | Iterable[str] | None = None) -> Fault:
        """Execute, answer in chunks, and close in the middle of the second chunk."""
        return self._faults.add("cut_chunked", Effect(wire="cut_chunked"), operation, times)

    def wrong_content_length(
        self, by: int = 10, times: int | None = 1, *, operation: str | Iterable[str] | None = None
    ) -> Fault:
        """Execute, and answer with a Content-Length that is too large `by` this many bytes (too small, if negative).
        The connection stays open."""
        if not isinstance(by, int) or isinstance(by, bool) or by == 0:
            raise ConfigurationError(f"LocalNode.wrong_content_length: by must be a whole number but 0 (got {by!r}).")
        return self._faults.add("wrong_content_length", Effect(wire="wrong_length", length_error=by), operation, times)

    def drop_after_execute(self, times: int | None = 1, *, operation: str | Iterable[str] | None = None) -> Fault:
        """Execute the request, then close the socket without an answer. For the client, the outcome of a write is
        unknown."""
        return self._faults.add("drop_after_execute", Effect(wire="drop"), operation, times)

    def drop_request(self, times: int | None = 1, *, operation: str | Iterable[str] | None = None) -> Fault:
        """Close the socket without executing the request and without an answer."""
        return self._faults.add("drop_request", Effect(wire="drop", execute=False), operation, times)

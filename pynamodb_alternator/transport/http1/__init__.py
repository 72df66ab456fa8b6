"""HTTP/1.1: one request at a time over one socket, and its answer.

`reader` parses the bytes of an answer. `protocol` has the rules for an answer. `sockets` calls the kernel. `connection`
is the connection of a thread, and `stepwise` that of a thread that waits for two connections at once. The connection of
an event loop, `aio.connection`, uses the same `protocol`.
"""

from .connection import Connection
from .protocol import MAX_ERROR, Answer, Clock, ResponseRules, TlsSource
from .steps import Awaitable, Ready, Steps, wait_for_any
from .stepwise import StepwiseConnection

__all__ = [
    "MAX_ERROR",
    "Answer",
    "Awaitable",
    "Clock",
    "Connection",
    "Ready",
    "ResponseRules",
    "Steps",
    "StepwiseConnection",
    "TlsSource",
    "wait_for_any",
]

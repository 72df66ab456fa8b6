"""Name resolution for an event loop: it waits for the same look-ups as threads do.

asyncio would resolve in a thread of the loop's executor. The executor has few threads, which the application uses too,
and one name that hangs could occupy all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..settings.addresses import is_ip_address
from ..transport.resolver import addresses_of, begin

__all__ = ["resolve"]


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host name, in the resolver's order. An address is not looked up.

    Raises OSError. Waits as long as it takes. If the task is cancelled, the look-up goes on for other callers.
    """
    if is_ip_address(host):
        return (host,)
    loop = asyncio.get_running_loop()
    lookup, over = begin(host, port), loop.create_future()

    def settle() -> None:
        if not over.done():
            over.set_result(None)

    lookup.over.call(lambda: loop.call_soon_threadsafe(settle))
    await over
    try:
        addresses = addresses_of(lookup.result())
    except UnicodeError as error:
        raise OSError(f"{host!r} is not the name of a host") from error
    if not addresses:
        raise OSError(f"{host} has no address")
    return addresses

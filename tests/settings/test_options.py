"""Settings of one request: which of them win, and which a block cannot change."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, Gzip, Hedge, Timeouts
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.settings.options import RequestOptions, block, block_options, current
from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope


def test_narrower_options_win_and_none_means_none_for_compression() -> None:
    wide = RequestOptions(
        read_timeout=5, request_compression=Gzip(), extra_headers={"X-A": "1", "X-B": "2"}, consistent_node=7
    )
    assert RequestOptions().over(wide) == wide
    assert RequestOptions(request_compression=None).over(wide).request_compression is None
    assert RequestOptions().over(RequestOptions(hedge=Hedge())).hedge == Hedge()
    assert RequestOptions(hedge=None).over(RequestOptions(hedge=Hedge())).hedge is None
    assert RequestOptions(consistent_node=False).over(wide).consistent_node is False
    merged = RequestOptions(extra_headers={"x-a": "3"}).over(wide)
    assert merged.extra_headers == {"X-B": "2", "x-a": "3"}
    # Timeouts that are given as a whole hold as a whole, "no limit" included.
    whole = RequestOptions(all_timeouts=Timeouts(1, 2, None)).over(RequestOptions(read_timeout=5, total_timeout=9))
    assert whole.timeouts(Timeouts(7, 7, 7)) == Timeouts(1, 2, None)
    part = RequestOptions(read_timeout=3).over(RequestOptions(all_timeouts=Timeouts(1, 2, 8)))
    assert part.timeouts(Timeouts(7, 7, 7)) == Timeouts(1, 3, 8)
    whole = RequestOptions(all_timeouts=Timeouts(pool=None)).over(RequestOptions(pool_timeout=5))
    assert whole.timeouts(Timeouts(7, 7, 7)).pool is None
    assert RequestOptions(pool_timeout=5).timeouts(Timeouts(7, 7, 7)) == Timeouts(7, 7, 7, 5)


def test_what_belongs_to_the_cluster_cannot_be_changed_for_a_block() -> None:
    with Cluster("http://10.0.0.1") as cluster:
        for name in ("seeds", "port", "scheme", "tls", "credentials", "region", "health", "endpoint"):
            with pytest.raises(ConfigurationError, match=rf"{name} cannot be changed.*Make another cluster.*{name}="):
                cluster.options(**{name: 1})
        with pytest.raises(ConfigurationError, match="Did you mean 'timeouts'"):
            cluster.options(timeout=1)
        for wrong, message in (
            ({"timeouts": 5}, r"timeouts must be Timeouts\("),
            ({"timeouts": {"reed": 5}}, "Did you mean 'read'"),
            ({"timeouts": {"read": -1}}, "read must be a number"),
            ({"request_compression": "br"}, "request_compression must be"),
            ({"hedge": 0.05}, r"Cluster.options: hedge must be Hedge\("),
            ({"canonical_numbers": "all"}, "canonical_numbers must be 'sets', True"),
            ({"response_compression": "br"}, "response_compression must be"),
            ({"key_route_affinity": "some"}, "KeyRouteAffinity"),
            ({"consistent_node": ""}, "consistent_node must be"),
            ({"consistent_node": 3}, "consistent_node must be"),
            ({"consistent_node": "\ud800"}, "consistent_node must be"),
            ({"routing_scope": "dc1"}, "routing_scope must be"),
            ({"extra_headers": {"Host": "x"}}, "written by the transport itself"),
        ):
            with pytest.raises(ConfigurationError, match=message):
                cluster.options(**wrong)  # type: ignore[arg-type]


def test_options_of_equal_settings_are_made_once_and_what_only_compares_equal_is_checked_by_itself() -> None:
    first = block_options({"timeouts": {"total": 1}, "token_aware": True})
    assert block_options({"timeouts": {"total": 1}, "token_aware": True}) is first
    assert block_options({"timeouts": {"total": 1.0}, "token_aware": True}) == first
    with pytest.raises(ConfigurationError, match="total must be a number"):
        block_options({"timeouts": {"total": True}, "token_aware": True})
    with pytest.raises(ConfigurationError, match="token_aware must be"):
        block_options({"timeouts": {"total": 1}, "token_aware": 1})
    timeouts = {"read": 3.0}
    assert block_options({"timeouts": timeouts}).read_timeout == 3.0
    timeouts["read"] = 4.0
    assert block_options({"timeouts": timeouts}).read_timeout == 4.0


def test_options_that_are_not_plain_data_are_not_cached() -> None:
    assert block_options({"timeouts": Timeouts(total=1)}).all_timeouts == Timeouts(total=1)
    assert block_options({"timeouts": Timeouts(total=2)}).all_timeouts == Timeouts(total=2)
    made = block_options({"extra_headers": {"X-A": "1"}})
    assert made == block_options({"extra_headers": {"X-A": "1"}})
    assert made is not block_options({"extra_headers": {"X-A": "1"}})


def test_few_options_are_kept() -> None:
    first = block_options({"timeouts": {"total": 0.5}})
    for number in range(300):
        assert block_options({"timeouts": {"total": number + 1}}).total_timeout == number + 1
    assert block_options({"timeouts": {"total": 0.5}}) == first


def test_a_scope_whose_list_is_not_read_is_refused_at_once() -> None:
    chain = RackScope("dc1", "r1", fallback=ClusterScope())
    with Cluster(ClusterConfig(["10.0.0.1"], routing_scope=chain)) as cluster:
        for scope in (RackScope("dc1", "r2"), DatacenterScope("dc2"), ClusterScope(), DatacenterScope("dc1")):
            if scope in (ClusterScope(), DatacenterScope("dc1")):
                cluster.options(routing_scope=scope)
                continue
            with pytest.raises(ConfigurationError, match=rf"The nodes of {scope} are not known.*rack r1 of datacenter"):
                cluster.options(routing_scope=scope)
        with pytest.raises(ConfigurationError, match="rack r2"):
            cluster.options(routing_scope=DatacenterScope("dc1", fallback=RackScope("dc1", "r2")))


OWNER = object()
THREE_ATTEMPTS = block(OWNER, RequestOptions(max_attempts=3))


def attempts() -> int | None:
    return current(OWNER).max_attempts


def test_a_decorated_function_has_the_options_in_each_call() -> None:
    @THREE_ATTEMPTS
    def inside(deeper: bool) -> list[int | None]:
        """What holds here."""
        return [attempts(), *(inside(False) if deeper else [])]

    assert (inside(True), attempts()) == ([3, 3], None)
    assert (inside.__name__, inside.__doc__) == ("inside", "What holds here.")


def test_a_decorated_coroutine_function_has_the_options_while_it_runs() -> None:
    @THREE_ATTEMPTS
    async def inside() -> list[int | None]:
        before = attempts()
        await asyncio.sleep(0)
        return [before, attempts()]

    async def side_by_side() -> tuple[list[int | None], list[int | None], int | None]:
        first, second = await asyncio.gather(inside(), inside())
        return first, second, attempts()

    assert asyncio.run(side_by_side()) == ([3, 3], [3, 3], None)
    assert inspect.iscoroutinefunction(inside)
    assert inside.__name__ == "inside"


def test_a_generator_cannot_be_decorated() -> None:
    def items() -> Iterator[int]:
        yield 1

    async def async_items() -> AsyncIterator[int]:
        yield 1

    for function in (items, async_items):
        with pytest.raises(ConfigurationError, match=rf"'{function.__name__}'.*generator.*inside of it"):
            THREE_ATTEMPTS(function)


def test_one_block_inside_itself() -> None:
    owner = object()
    patient = block(owner, block_options({"timeouts": {"read": 30}}))
    with patient:
        with patient:
            assert current(owner).read_timeout == 30
        assert current(owner).read_timeout == 30
    assert current(owner).read_timeout is None


def test_one_block_in_several_threads_and_tasks_at_once() -> None:
    owner, both = object(), threading.Barrier(2)
    patient = block(owner, block_options({"timeouts": {"read": 30}}))

    def in_thread(leaves_first: bool) -> float | None:
        with patient:
            both.wait(10)  # both are inside
            if not leaves_first:
                both.wait(10)
        if leaves_first:
            both.wait(10)
        return current(owner).read_timeout

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(in_thread, [True, False])) == [None, None]

    async def in_task(turns: int) -> float | None:
        with patient:
            for _ in range(turns):
                await asyncio.sleep(0)
            assert current(owner).read_timeout == 30
        return current(owner).read_timeout

    async def in_tasks() -> None:
        with patient:  # which the tasks inherit
            left = await asyncio.gather(*map(in_task, (3, 1, 2)))
            assert left == [30, 30, 30]
        assert current(owner).read_timeout is None
        assert await asyncio.gather(*map(in_task, (3, 1, 2))) == [None, None, None]

    asyncio.run(in_tasks())


def test_blocks_that_end_in_another_order() -> None:
    owner = object()
    outer, inner = (block(owner, block_options({"timeouts": {"read": seconds}})) for seconds in (1, 2))
    outer.__enter__()  # as in a generator that goes on inside of the other
    inner.__enter__()
    outer.__exit__()
    assert current(owner).read_timeout is None
    inner.__exit__()


def test_leaving_a_block_in_another_context_is_an_error() -> None:
    def dependency() -> Iterator[None]:
        with THREE_ATTEMPTS:
            yield

    generator = dependency()
    contextvars.copy_context().run(next, generator)
    with pytest.raises(ConfigurationError, match=r"entered in one context and left in another.*`async def`"):
        contextvars.copy_context().run(next, generator)

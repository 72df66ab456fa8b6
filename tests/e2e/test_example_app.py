"""The example shop over a cluster of three nodes: what customers see, and what the books say, while nodes die."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pynamodb.exceptions import PutError, UpdateError

from pynamodb_alternator import close_all, registry, signals
from pynamodb_alternator.errors import OutcomeUnknownError
from pynamodb_alternator.local import LocalCluster

pytest.importorskip("flask")
pytest.importorskip("django")
pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("aiobotocore")

from example_app.demo import customers, serving
from example_app.demo.account import Account, conclude
from example_app.shop import carts, dashboard, models, pages, trade, words
from example_app.shop.books import audit
from example_app.shop.dashboard import Dashboard
from example_app.shop.faults import Faults, Refused
from example_app.shop.looks import Looks
from example_app.shop.traffic import NodeTraffic, Traffic
from tests.browser import shops
from tests.chaos.support import until

from .visitor import Visitor, put_into_cart, visiting

ROOT = Path(__file__).parents[2]
RARE = trade.GOODS[-1][0]


@pytest.fixture
def board(local: LocalCluster) -> Iterator[Dashboard]:
    """A seeded shop, and the picture of its cluster."""
    with registry.replaced({"default": local.url}):
        models.create_tables()
        trade.seed(stock=100, rare=3)
        cluster = registry.get_cluster()
        board = Dashboard(cluster, Traffic().watch(cluster), local, interval=0.01)
        yield board
        board.close()
        board.traffic.close()
    close_all()


@pytest.fixture
def traffic(board: Dashboard) -> Traffic:
    return board.traffic


@pytest.fixture(params=list(shops.SHOPS))
def client(request: pytest.FixtureRequest, local: LocalCluster) -> Iterator[Visitor]:
    with visiting(request.param, local) as visitor:
        yield visitor


def stock_of(sku: str) -> int:
    return int(models.Product.get(sku, consistent_read=True).stock)


def is_right(placed: int) -> bool:
    """Whether the stocks agree with the orders, of which so many are placed and all are completed."""
    books = audit()
    return (len(books.placed), books.unfinished, books.wrong) == (placed, 0, ())


def order_id_on(page: str) -> str:
    """What the button on the page of the cart sends."""
    order_id = re.search(r'name="order_id" value="(\w+)"', page)
    assert order_id
    return order_id[1]


def check_out(client: Visitor) -> str:
    """Press the button on the page of the cart; the page of the order."""
    order_id = order_id_on(client.get("/cart").text)
    return client.post("/orders/new", data={"order_id": order_id}, follow=True).text


# ---- what a customer sees ------------------------------------------------------------------------------------------


def test_the_home_page_shows_products_and_nodes(client: Visitor, local: LocalCluster) -> None:
    page = client.get("/").text
    for _, name, _, _ in trade.GOODS:
        assert name in page
    for node in local.nodes:
        assert node.address in page


def test_a_category_is_an_index_query(client: Visitor) -> None:
    page = client.get("/?category=Pottery").text
    assert "Milk jug" in page
    assert "Sencha" not in page
    assert client.board.traffic.snapshot()["operations"]["Query"] >= 1
    assert client.get("/?category=Cars").status_code == 404


def test_a_visitor_orders_products(client: Visitor) -> None:
    put_into_cart(client, "teapot", 2)
    put_into_cart(client, "bowl", 1)
    put_into_cart(client, "bowl", 3)
    assert "108.00 €" in client.get("/cart").text
    page = check_out(client)
    assert "placed" in page
    assert "4 × Tea bowl" in page
    assert "184.00 €" in page
    assert (stock_of("teapot"), stock_of("bowl")) == (98, 96)
    assert "It is empty" in client.get("/cart").text
    assert "184.00 €" in client.get("/orders").text
    assert trade.count("orders") == 1
    assert is_right(1)


def test_the_button_pressed_twice_is_one_order(client: Visitor) -> None:
    put_into_cart(client, "can", 1)
    order_id = order_id_on(client.get("/cart").text)
    pages = [client.post("/orders/new", data={"order_id": order_id}, follow=True) for _ in range(2)]
    assert [page.status_code for page in pages] == [200, 200]
    assert stock_of("can") == 99
    assert is_right(1)


def test_two_pages_of_one_cart_are_one_order(client: Visitor) -> None:
    """Such as that of a visitor who loads the page again, because the node that takes the order is frozen."""
    put_into_cart(client, "can", 2)
    order_ids = [order_id_on(client.get("/cart").text) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda id_: client.post("/orders/new", data={"order_id": id_}), order_ids * 2))
    assert {answer.status_code for answer in answers} <= {302, 303}
    assert stock_of("can") == 98
    assert is_right(1)
    assert "It is empty" in client.get("/cart").text


def test_the_page_of_an_older_cart_leaves_the_newer_one_alone(client: Visitor) -> None:
    put_into_cart(client, "can", 1)
    old = order_id_on(client.get("/cart").text)
    check_out(client)
    put_into_cart(client, "bowl", 3)
    answer = client.post("/orders/new", data={"order_id": old}, follow=True)
    assert "Watering can" in answer.text
    assert "57.00 €" in client.get("/cart").text
    assert is_right(1)


def test_what_was_added_to_the_cart_meanwhile_stays_there(client: Visitor) -> None:
    """The first press was answered with an error, after the order had been placed."""
    put_into_cart(client, "can", 1)
    customer = re.search(r"You are (guest-\w+)", client.get("/cart").text)
    assert customer
    order_id = order_id_on(client.get("/cart").text)
    trade.place_order(customer[1], {"can": 1}, order_id)
    put_into_cart(client, "can", 1)
    put_into_cart(client, "bowl", 1)
    check_out(client)
    page = client.get("/cart").text
    assert "51.00 €" in page
    assert order_id_on(page) != order_id
    assert (stock_of("can"), stock_of("bowl")) == (99, 100)
    assert is_right(1)


def test_an_order_that_was_turned_down_can_be_placed_later(client: Visitor) -> None:
    put_into_cart(client, RARE, 4)
    assert "rejected" in check_out(client)
    trade.deliver(RARE, 10, "delivery-1")
    assert "placed" in check_out(client)
    assert is_right(1)


def test_another_order_than_that_of_the_cart_is_not_made(client: Visitor) -> None:
    put_into_cart(client, "can", 1)
    order_id = trade.new_order_id()
    assert client.post("/orders/new", data={"order_id": order_id}, follow=True).status_code == 404
    assert is_right(0)
    assert "32.00 €" in client.get("/cart").text


def test_the_shop_rejects_an_order_without_stock(client: Visitor) -> None:
    put_into_cart(client, RARE, 4)
    put_into_cart(client, "assam", 1)
    page = check_out(client)
    assert "rejected" in page
    assert "not enough" in page
    # What was already reserved came back.
    assert (stock_of(RARE), stock_of("assam")) == (3, 100)
    assert is_right(0)


def test_one_piece_left_and_many_who_want_it(traffic: Traffic) -> None:
    with ThreadPoolExecutor(8) as pool:
        orders = list(pool.map(lambda n: trade.place_order(f"customer-{n}", {RARE: 1}), range(8)))
    assert sorted(order.status for order in orders) == ["placed"] * 3 + ["rejected"] * 5
    assert is_right(3)


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("/cart/add", {"sku": "no-such"}, 404),
        ("/cart/add", {}, 404),
        ("/orders/new", {"order_id": "../x"}, 400),
        ("/orders/new", {}, 400),
        ("/orders/unknown", None, 404),
        ("/nowhere", None, 404),
    ],
)
def test_the_shop_refuses_wrong_requests(client: Visitor, path: str, data: dict[str, str] | None, status: int) -> None:
    answer = client.get(path) if data is None else client.post(path, data, Accept="application/json")
    assert answer.status_code == status


def test_answers_have_headers_for_strict_browsers(client: Visitor) -> None:
    answer = client.get("/dashboard")
    for name, value in pages.HEADERS.items():
        assert answer.headers[name] == value
    assert " style=" not in answer.text
    assert "<script>" not in answer.text


def test_another_customers_order_is_not_shown(client: Visitor) -> None:
    order = trade.place_order("somebody-else", {"jug": 1})
    assert client.get(f"/orders/{order.order_id}").status_code == 404


def test_a_page_says_that_no_node_answers(client: Visitor, local: LocalCluster) -> None:
    assert client.get("/").status_code == 200
    for node in local.nodes:
        node.kill()
    answer = client.get("/cart")
    assert answer.status_code == 503
    assert "try again" in answer.text
    for node in local.nodes:
        node.revive()


# ---- nodes that die ------------------------------------------------------------------------------------------------


def test_a_node_dies_during_orders(traffic: Traffic, local: LocalCluster) -> None:
    victim = local.nodes[1]
    orders = customers.CustomersInThreads(0.002)
    orders.start()
    orders.wait_for(30)
    victim.kill()
    orders.wait_for(60)
    victim.revive()
    before = traffic.per_node().get(victim.address, 0)
    deadline = threading.Event()
    for _ in range(1000):
        if traffic.per_node().get(victim.address, 0) > before:
            break
        deadline.wait(0.01)
    orders.stop()
    assert orders.tally.failed == []
    assert traffic.per_node()[victim.address] > before
    assert traffic.snapshot()["errors"] == 0
    books = audit()
    assert (books.placed, books.wrong) == (orders.tally.placed, ())
    # The counter is never too high, and too low at most by the increments whose outcome nobody knows.
    assert len(books.placed) - traffic.unknown <= trade.count("orders") <= len(books.placed)


@pytest.mark.parametrize("kind", ["flask", "fastapi"])
@pytest.mark.parametrize("hedged", [False, True])
def test_a_node_dies_and_another_one_freezes_under_load(kind: str, hedged: bool, local: LocalCluster) -> None:
    """Customers in threads, and in tasks of the shop's event loop."""
    with shops.SHOPS[kind](local) as shop, shops.opened(shop, stock=100, rare=3) as place:
        shop.board.looks.hedged = hedged
        people = place.customers(0.01)
        people.start()
        people.wait_for(20)
        local.nodes[1].kill(still_listed=True)
        people.wait_for(40)
        local.nodes[1].revive()
        people.wait_for(20)
        local.nodes[2].hang()
        people.wait_for(40)
        local.nodes[2].resume()
        people.stop()
        people.stop()  # again, which does nothing
        traffic = shop.board.traffic
        assert (people.tally.failed, people.tally.looks_failed) == ([], [])
        assert traffic.snapshot()["errors"] == 0
        books = audit()
        assert (books.placed, books.unfinished, books.wrong) == (people.tally.placed, 0, ())
        assert len(books.placed) - traffic.unknown <= trade.count("orders") <= len(books.placed)
        assert hedged or traffic.hedges == 0
        assert shop.board.looks.slowest() is not None


def test_the_home_page_shows_the_dead_node(client: Visitor, local: LocalCluster) -> None:
    victim = local.nodes[2]
    victim.kill()
    for _ in range(12):
        assert client.get("/cart").status_code == 200
    state = json.loads(client.get("/state.json").text)
    dead = next(node for node in state["nodes"] if node["address"] == victim.address)
    assert dead["state"] != "active"
    # None, if a probe met the dead node before a request did.
    assert state["failovers"] == dead["failures"]
    assert {failover["from_node"] for failover in state["last_failovers"]} <= {victim.address}
    assert state["errors"] == 0
    assert victim.address in client.get("/").text


# ---- writes of unknown outcome -------------------------------------------------------------------------------------


def lose_one_answer(local: LocalCluster, operation: str, *, executed: bool) -> None:
    """Let whichever node gets the next such request close the connection without an answer."""
    for node in local.nodes:
        if executed:
            node.drop_after_execute(1, operation=operation)
        else:
            node.drop_request(1, operation=operation)


@pytest.mark.parametrize("executed", [True, False])
def test_a_reservation_of_unknown_outcome_is_made_once(traffic: Traffic, local: LocalCluster, executed: bool) -> None:
    lose_one_answer(local, "UpdateItem", executed=executed)
    trade.reserve("vase", 5, "order-1")
    assert traffic.unknown >= 1
    assert stock_of("vase") == 95
    trade.reserve("vase", 5, "order-1")
    assert stock_of("vase") == 95


@pytest.mark.parametrize("executed", [True, False])
def test_an_order_of_unknown_outcome_is_placed_once(traffic: Traffic, local: LocalCluster, executed: bool) -> None:
    lose_one_answer(local, "PutItem", executed=executed)
    lose_one_answer(local, "UpdateItem", executed=executed)
    order = trade.place_order("ada", {"vase": 1, "jug": 2})
    assert order.status == "placed"
    assert traffic.unknown >= 2
    assert is_right(1)


@pytest.mark.parametrize("executed", [True, False])
def test_a_cart_whose_save_is_of_unknown_outcome_is_changed_once(
    client: Visitor, traffic: Traffic, local: LocalCluster, executed: bool
) -> None:
    put_into_cart(client, "bowl", 1)
    lose_one_answer(local, "PutItem", executed=executed)
    put_into_cart(client, "bowl", 2)
    assert traffic.unknown >= 1
    assert "57.00 €" in client.get("/cart").text


@pytest.mark.parametrize("executed", [True, False])
def test_a_cart_behind_a_proxy_that_gives_up(traffic: Traffic, local: LocalCluster, executed: bool) -> None:
    """The answer leaves the outcome open, and the node may execute the save later."""
    for node in local.nodes:
        node.fail_with("GatewayTimeout", status=504, times=1, executed=executed, operation="PutItem")

    def add(quantities: dict[str, int]) -> None:
        quantities["jug"] = quantities.get("jug", 0) + 1

    assert carts.change_cart("ada", add) == {"jug": 1}
    assert carts.change_cart("ada", add) == {"jug": 2}
    assert traffic.unknown >= 1
    cart = carts.cart_of("ada")
    late = models.Cart("ada", quantities={"jug": 1}, changed_by="an older save", version=1)
    with pytest.raises(PutError):
        late.save()
    assert carts.cart_of("ada").quantities.as_dict() == cart.quantities.as_dict() == {"jug": 2}


def test_deliveries_and_releases_happen_once(traffic: Traffic, local: LocalCluster) -> None:
    lose_one_answer(local, "UpdateItem", executed=True)
    trade.deliver("vase", 10, "delivery-1")
    trade.deliver("vase", 10, "delivery-1")
    assert stock_of("vase") == 110
    trade.reserve("vase", 10, "order-1")
    lose_one_answer(local, "UpdateItem", executed=True)
    trade.release("vase", 10, "order-1")
    trade.release("vase", 10, "order-1")
    assert stock_of("vase") == 110


def test_an_increment_is_not_sent_twice(traffic: Traffic, local: LocalCluster) -> None:
    assert trade.bump("orders")
    lose_one_answer(local, "UpdateItem", executed=True)
    assert not trade.bump("orders")
    assert trade.count("orders") == 2
    assert traffic.unknown == 1


def test_what_change_once_gives_up_on(traffic: Traffic, local: LocalCluster) -> None:
    for node in local.nodes:
        node.drop_request(None, operation="UpdateItem")
    with pytest.raises(UpdateError) as caught:
        trade.reserve("vase", 1, "order-1")
    assert isinstance(caught.value.cause, OutcomeUnknownError)
    for node in local.nodes:
        node.clear_faults()
    assert stock_of("vase") == 100


def test_settle_gives_back_what_an_unfinished_order_reserved(traffic: Traffic) -> None:
    done = trade.place_order("ada", {"vase": 1})
    unfinished = trade.place_order("ada", {"jug": 2})
    unfinished.update(actions=[models.Order.status.set("pending")])
    trade.deliver("bowl", 5, "delivery-1")
    assert trade.settle() == 0, "marks are kept while a request may still be under way"
    assert trade.settle(older_than=-1) == 3
    assert models.Order.get(unfinished.order_id).status == "rejected"
    assert models.Order.get(done.order_id).status == "placed"
    assert (stock_of("vase"), stock_of("jug"), stock_of("bowl")) == (99, 100, 105)
    assert all(not product.marks.as_dict() for product in trade.products())
    assert is_right(1)


def test_settle_makes_few_requests_and_stops_if_it_must(traffic: Traffic, local: LocalCluster) -> None:
    for _ in range(60):
        trade.place_order("ada", {"vase": 1})
    assert trade.settle(older_than=-1, unless=lambda: True) == 0
    assert len(models.Product.get("vase").marks.as_dict()) == 60
    for node in local.nodes:
        node.forget()
    told = iter([False, True])
    assert trade.settle(older_than=-1, unless=lambda: next(told)) == 50
    assert sum(request.operation in ("GetItem", "UpdateItem") for node in local.nodes for request in node.requests) == 1
    assert trade.settle(older_than=-1) == 10
    assert not models.Product.get("vase").marks.as_dict()
    assert is_right(60)


def test_an_order_that_is_not_completed_is_in_the_books(traffic: Traffic) -> None:
    """It has reserved what it needs, and found no node afterwards."""
    trade.place_order("ada", {"jug": 1})
    order = trade.place_order("ada", {"jug": 2, "vase": 1})
    order.update(actions=[models.Order.status.set("pending")])
    books = audit()
    assert (len(books.placed), books.unfinished, books.wrong) == (1, 1, ())
    assert stock_of("jug") == 97
    assert trade.place_order("ada", {"jug": 2, "vase": 1}, order.order_id).status == "placed"
    assert is_right(2)


def test_the_books_find_what_is_wrong(traffic: Traffic) -> None:
    trade.place_order("ada", {"jug": 1})
    models.Product("jug").update(actions=[models.Product.stock.set(models.Product.stock + 1)])
    models.Product("vase").update(actions=[models.Product.stock.set(-1), models.Product.received.set(-1)])
    assert [str(stock) for stock in sorted(audit().wrong, key=lambda stock: stock.sku)] == [
        "jug: received 100, sold 1, but 100 in stock",
        "vase: received -1, sold 0, but -1 in stock",
    ]


def test_an_increment_that_no_node_took_is_not_an_error(traffic: Traffic, local: LocalCluster) -> None:
    """An order does not fail because its counter does."""
    for node in local.nodes:
        node.kill(still_listed=True)
    assert not trade.bump("orders")
    for node in local.nodes:
        node.revive()
    until(lambda: any(node.state.value == "active" for node in registry.get_cluster().nodes()))
    assert trade.count("orders") == 0


# ---- the dashboard -------------------------------------------------------------------------------------------------


def test_the_dashboard_shows_nodes_and_keys(client: Visitor, local: LocalCluster) -> None:
    page = client.get("/dashboard").text
    for node in local.nodes:
        assert f'data-node="{node.address}"' in page
    for sku, *_ in trade.GOODS:
        assert f'data-key="shop_products/{sku}"' in page
    assert 'data-key="shop_counters/visits"' in page


def test_buttons_kill_freeze_and_revive(client: Visitor, local: LocalCluster) -> None:
    first, second, last = local.nodes
    assert client.press("kill", first.address) == (200, f"{first.address} was killed: it refuses connections.")
    assert not first.up
    assert client.press("kill", first.address)[0] == 200, "pressing it again does no harm"
    assert client.press("freeze", first.address)[0] == 409
    assert client.press("freeze", second.address)[0] == 200
    assert second.hung
    status, said = client.press("kill", last.address)
    assert (status, "last node that runs" in said) == (409, True)
    assert client.press("revive", first.address)[0] == 200
    assert client.press("revive", second.address)[0] == 200
    assert first.up
    assert not second.hung
    # Without JavaScript the form leads back to the page, which says what was done.
    answer = client.post("/dashboard/nodes", {"action": "kill", "node": first.address}, follow=True)
    assert f"{first.address} was killed" in answer.text
    assert client.board.faults is not None
    client.board.faults.heal()
    assert first.up


def test_hedged_reads_are_turned_on_and_off(client: Visitor) -> None:
    assert not client.board.looks.hedged
    assert client.press("hedge") == (200, "Reads are hedged: after 50 ms they go to a second node as well.")
    assert client.board.looks.hedged
    assert 'value="hedge" aria-pressed="true"' in client.get("/dashboard").text
    assert client.press("wait")[0] == 200
    assert not client.board.looks.hedged
    assert client.board.presses == 2


def test_the_last_running_node_cannot_be_killed(board: Dashboard, local: LocalCluster) -> None:
    first, second, last = (node.address for node in local.nodes)
    faults = board.faults
    assert faults is not None
    assert faults.may(last) == {"kill": True, "freeze": True, "revive": False}
    faults.do("freeze", first)
    assert faults.may(first) == {"kill": True, "freeze": False, "revive": True}
    faults.do("kill", second)
    assert faults.may(second) == {"kill": False, "freeze": False, "revive": True}
    assert faults.may(last) == {"kill": False, "freeze": False, "revive": False}
    assert faults.may("127.0.0.99:1") == {"kill": False, "freeze": False, "revive": False}
    for action in ("kill", "freeze"):
        with pytest.raises(Refused, match="last node"):
            faults.do(action, last)


def test_a_frozen_node_with_hedged_reads(board: Dashboard, local: LocalCluster) -> None:
    board.looks.hedged = True
    local.nodes[1].hang()
    for sku, *_ in trade.GOODS:
        with board.looks.reading():
            models.Product.get(sku)
    state = board.state()
    assert state["hedges"] >= 1
    assert board.traffic.hedges_won >= 1
    assert state["slowest"] >= 50
    local.nodes[1].resume()


def events_of(stream: Iterable[str | bytes]) -> Iterator[dict[str, Any]]:
    """The pictures in a stream that comes in lines, or in events."""
    for part in stream:
        data = re.search(r"^data: (.*)$", part if isinstance(part, str) else part.decode(), re.MULTILINE)
        if data:
            yield json.loads(data[1])


def test_the_stream_of_events(client: Visitor, local: LocalCluster) -> None:
    client.board.interval = 0.05
    with client.http.stream("GET", "/dashboard/events") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Cache-Control"] == "no-store"
        events = events_of(line + "\n" for line in answer.iter_lines())
        state = next(events)
        assert [(node["label"], node["state"]) for node in state["nodes"]] == [(name, "active") for name in "ABC"]
        victim = state["keys"][0]["node"]
        local.node(victim).kill(still_listed=True)
        for _ in range(12):
            models.Product.get("bowl")
        state = next(state for state in events if any(node["state"] == "down" for node in state["nodes"]))
        for key in state["keys"]:
            assert (key["node"] != key["home"]) == (key["home"] == victim), "only the keys of the dead node move"
        assert client.board.streams == 1
    until(lambda: client.board.streams == 0)


def test_only_so_many_dashboards(client: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "MOST_STREAMS", 1)
    held = client.board.stream()
    answer = client.get("/dashboard/events")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    held.close()
    assert client.board.streams == 0


def test_a_stream_without_a_reader_ends(board: Dashboard) -> None:
    board.stream()
    assert board.streams == 0


def test_pictures_are_shared_and_bounded_in_rate(board: Dashboard) -> None:
    board.interval = 3600
    first, second = board.stream(), board.stream()
    state = [next(first), next(first), next(second), next(second)]
    assert state[1] == state[3]
    assert state[0] == b"retry: 300\n\n"
    assert board.latest() == board.latest()


def test_closing_ends_streams_at_once(board: Dashboard) -> None:
    board.interval = 3600
    stream = board.stream()
    next(stream)
    next(stream)
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    board.close()
    reader.join(10)
    assert not reader.is_alive()
    assert board.streams == 0


def test_a_stream_ends_by_itself(board: Dashboard) -> None:
    board.longest = 0.05
    assert len(list(board.stream())) >= 2


def test_streams_in_an_event_loop(board: Dashboard) -> None:
    board.longest = 0.1

    async def read() -> list[bytes]:
        return [event async for event in board.async_stream()]

    events = asyncio.run(read())
    assert events[0] == b"retry: 300\n\n"
    assert next(events_of(iter(events)))["nodes"]
    assert board.streams == 0


def test_the_events_under_asgi(local: LocalCluster) -> None:
    """Django waits in its event loop, and holds no thread of it."""
    from django.test import AsyncClient

    async def read() -> list[bytes]:
        answer = await AsyncClient().get("/dashboard/events")
        assert answer.is_async
        return [part async for part in answer]

    with shops.at_django(local) as shop, shops.opened(shop):
        shop.board.longest = 0.1
        shop.board.interval = 0.02
        assert next(events_of(iter(asyncio.run(read()))))["nodes"]


def test_a_closed_cluster_ends_the_stream(board: Dashboard) -> None:
    stream = board.stream()
    next(stream)
    board.cluster.close()
    assert list(stream) == []


def test_on_a_real_cluster_the_buttons_are_off(board: Dashboard) -> None:
    real = Dashboard(board.cluster, board.traffic)
    assert [node["may"] for node in real.state()["nodes"]] == [{"kill": False, "freeze": False, "revive": False}] * 3
    assert "real cluster" in str(real.why_no_faults)
    with pytest.raises(Refused, match="real cluster"):
        real.press("kill", "127.0.0.1:1")


def test_the_page_says_why_the_buttons_are_off(local: LocalCluster) -> None:
    with shops.at_flask(local, real=True) as shop, shops.opened(shop):
        page = shop.app.test_client().get("/dashboard").text
    assert "This is a real cluster" in page
    assert page.count("disabled aria-describedby") == 9


def test_a_node_in_a_process_of_its_own_is_stopped() -> None:
    with LocalCluster(nodes=2, processes=True) as local:
        faults = Faults(local)
        address = local.nodes[1].address
        faults.do("freeze", address)
        assert faults.situation(address) == "frozen"
        with pytest.raises(Refused, match="last node"):
            faults.do("freeze", local.nodes[0].address)
        faults.do("revive", address)
        assert faults.situation(address) == "running"
        faults.do("freeze", address)
        faults.do("kill", address)
        assert faults.situation(address) == "killed"
        faults.heal()
        assert faults.situation(address) == "running"
        assert faults.situation("127.0.0.99:1") is None


def test_latencies_are_counted_by_second() -> None:
    node = NodeTraffic()
    for second, milliseconds in [(100, 1.0), (100, 3.0), (102, 7.0)]:
        node.count(second)
        node.took(second, milliseconds)
    assert node.latencies(103)[-4:] == [None, 3.0, None, 7.0]
    assert node.history(103)[-4:] == [0, 2, 0, 1]
    assert node.latency(103) == 7.0
    assert node.rate(103) == 1.0
    node.took(101, 5.0)  # late: it goes to the last second
    assert node.attempts == 3
    assert NodeTraffic().latency(103) is None


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 failovers"), (1, "1 failover"), (2, "2 failovers"), (1234, "1,234 failovers")]
)
def test_numbers_have_their_nouns(count: int, text: str) -> None:
    assert words.counted(count, "failover") == text
    assert words.noun(count, "entry", "entries") == ("entry" if count == 1 else "entries")
    assert words.noun(None, "visit") == "visits"


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(None, "–"), (0.4, "0 ms"), (52.4, "52 ms"), (999, "999 ms"), (2265, "2.3 s")]
)
def test_durations_are_short(milliseconds: float | None, text: str) -> None:
    assert words.duration(milliseconds) == text


def test_the_slowest_look(board: Dashboard) -> None:
    now = [100.0]
    looks = Looks(board.cluster, clock=lambda: now[0])
    assert looks.slowest() is None
    for began, took in [(100.0, 2.0), (102.5, 0.25), (103.0, 0.125)]:
        now[0] = began
        with looks.reading():
            now[0] = began + took
    assert looks.slowest() == 2000
    assert looks.slowest(since=101.0) == 250, "one that began before does not count, although it ended later"
    now[0] = 112.5
    assert looks.slowest() == 250
    with contextlib.suppress(KeyError), looks.reading():
        now[0] = 114.5
        raise KeyError
    assert looks.slowest() == 2000, "a look that failed has waited too"


def test_a_script_does_nothing_after_the_first_press(board: Dashboard, local: LocalCluster) -> None:
    first, second, _ = local.nodes
    assert board.act("kill", first.address)
    assert (first.up, board.presses, board.last) == (False, 0, "")
    with pytest.raises(Refused):
        board.press("freeze", first.address)
    assert board.act("hedge")
    assert board.press("revive", first.address) == board.last
    assert not board.act("kill", second.address)
    assert not board.act("wait")
    assert second.up
    assert board.looks.hedged


def test_the_share_of_a_node_that_came_back(board: Dashboard) -> None:
    now = [1000.0]
    traffic = Traffic(clock=lambda: now[0]).watch(board.cluster)
    first, second, _ = (node.address for node in board.cluster.nodes())

    def routed(node: str, count: int, policy: str) -> None:
        for _ in range(count):
            event = signals.RequestRouted(
                cluster_name="c", operation="GetItem", table_name=None, request_id="r", node=node, attempt=1,
                policy=policy, reason=None,
            )  # fmt: skip
            signals.request_routed.send(board.cluster, event=event)

    def of(address: str) -> tuple[float | None, int | None]:
        node = next(node for node in traffic.snapshot()["nodes"] if node["address"] == address)
        return node["back_for"], node["share"]

    for _ in range(8):
        now[0] += 1
        routed(second, 60, "replica")
        routed(second, 70, "affinity")
        routed(first, 40, "round_robin")
    now[0] += 2  # until it was seen to be down
    signals.node_down.send(board.cluster, event=signals.NodeDown(cluster_name="c", node=first, failures=1, error=None))
    assert of(first) == (None, None)
    now[0] = 1020.0
    signals.node_up.send(board.cluster, event=signals.NodeUp(cluster_name="c", node=first, down_for=3.0))
    assert of(first) == (0.0, None)
    now[0] = 1020.9
    assert of(first) == (0.9, None), "no second is over since then"
    for later, (to_first, to_second) in enumerate([(4, 96), (20, 80), (40, 60)], 1):
        now[0] = 1020.5 + later
        routed(first, to_first, "replica")
        routed(second, to_second, "replica")
    now[0] = 1024.0
    assert traffic.shares(first, 9) == [10, 50, 100]
    assert traffic.shares(first, 2) == [10, 50]
    assert of(first) == (4.0, 100)
    now[0] = 1050.0
    assert of(first) == (None, None)
    traffic.close()


# ---- the demo ------------------------------------------------------------------------------------------------------


def _run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "example_app.demo", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("shop", list(shops.SHOPS))
def test_the_demo_ends_by_itself(shop: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ended = _run_demo("--once", "--orders", "40", "--port", str(port), "--shop", shop)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "killed the node" in ended.stdout
    assert ended.stdout.count("froze the node") == 2
    assert "the slowest look at a product while the node was frozen" in ended.stdout
    assert not re.search(r"\b1 (orders|requests|failovers|errors|hedges)\b", ended.stdout)
    assert "all orders and stocks agree" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.slow
def test_the_demo_leaves_the_nodes_to_a_visitor() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/dashboard"
    command = [sys.executable, "-m", "example_app.demo", "--port", str(port), "--orders", "100000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            lines = []
            while "/dashboard" not in "".join(lines):
                lines.append(running.stdout.readline())
            visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with visitor.open(url) as answer:
                page = answer.read().decode()
            token = re.search(r'name="csrfmiddlewaretoken" value="([\w-]+)"', page)
            node = re.search(r'data-node="([\d.:]+)"', page)
            assert token
            assert node
            form = {"csrfmiddlewaretoken": token[1], "action": "kill", "node": node[1]}
            visitor.open(f"{url}/nodes", urllib.parse.urlencode(form).encode()).close()
            while f"{node[1]} was killed" not in lines[-1]:
                lines.append(running.stdout.readline())
                assert lines[-1], "the demo has ended"
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
        finally:
            running.kill()
    assert "the nodes are yours now" in "".join(lines)
    assert "all orders and stocks agree" in out
    assert (running.returncode, err) == (0, "")


@pytest.fixture
def port() -> int:
    """One that is free."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


_WITHOUT_RESERVING = """
import sys
from example_app.demo import command
from example_app.shop import trade
trade.reserve = lambda sku, quantity, order_id: None
sys.exit(command.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_demo_fails_if_the_books_do_not_agree(port: int) -> None:
    command = [sys.executable, "-c", _WITHOUT_RESERVING, "--once", "--orders", "10", "--port", str(port)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 1
    assert "FAILED: the stock is wrong" in ended.stdout
    assert "all orders and stocks agree" not in ended.stdout


@pytest.mark.slow
def test_the_demo_ends_when_nobody_reads_it(port: int) -> None:
    command = [sys.executable, "-m", "example_app.demo", "--port", str(port), "--orders", "10"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        try:
            running.stdout.readline()
            running.stdout.close()
            assert (running.wait(timeout=100), running.stderr.read()) == (0, "")
        finally:
            running.kill()


def test_the_shop_opens_with_its_products(port: int) -> None:
    """The first page that a visitor can get has them."""
    command = [sys.executable, "-m", "example_app.demo", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            page = ""
            while not page:
                assert running.poll() is None
                with contextlib.suppress(ConnectionRefusedError, urllib.error.URLError):
                    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/").read().decode()
            assert "Sencha" in page
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=100)
        finally:
            running.kill()
    assert "all orders and stocks agree" in out
    assert (running.returncode, err) == (0, "")


def test_what_the_books_of_the_demo_say(board: Dashboard, capsys: pytest.CaptureFixture[str]) -> None:
    tally = customers.Tally()
    tally.placed |= {trade.place_order("ada", {"jug": 1}).order_id}
    account = Account()
    assert conclude(account, tally, board.traffic, may_fail=False) == []
    tally.failed.append("Timeout: x")
    assert conclude(account, tally, board.traffic, may_fail=True) == []
    assert conclude(account, tally, board.traffic, may_fail=False) == ["order failed: Timeout: x"]
    tally.placed.add("lost")
    wrong = conclude(account, tally, board.traffic, may_fail=True, patience=0)
    assert wrong == ["of the orders that customers placed, 1 is not in the table: lost"]
    assert re.search(r"orders that failed +1\n", capsys.readouterr().out)


_INTERRUPTED = """
import runpy, signal, sys, types
command = sys.modules["example_app.demo.command"] = types.ModuleType("command")
command.main = lambda: signal.raise_signal(signal.SIGINT)
runpy.run_module("example_app.demo", run_name="__main__")
"""


def test_ctrl_c_before_the_demo_has_begun_ends_it_quietly() -> None:
    ended = subprocess.run([sys.executable, "-c", _INTERRUPTED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def test_the_demo_says_why_a_port_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden(socket.socket):
        def bind(self, address: Any) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Forbidden)
    assert serving.why_not_open(80) == "cannot be opened: Permission denied"


def test_the_demo_says_that_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = _run_demo("--once", "--port", str(port), "--shop", "django")
    assert ended.returncode == 2
    assert f"port {port} of 127.0.0.1 is in use" in ended.stderr
    assert "make demo SHOP=django PORT=" in ended.stderr

"""The example shop over a cluster of three nodes: what customers see, and what the books say, while nodes die."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pynamodb.exceptions import UpdateError

from pynamodb_alternator import close_all, configure, get_cluster
from pynamodb_alternator.errors import OutcomeUnknownError
from pynamodb_alternator.local import LocalCluster

flask_testing = pytest.importorskip("flask.testing")

from example_app import demo, models, shop  # noqa: E402
from example_app.app import create_app  # noqa: E402
from example_app.traffic import Traffic  # noqa: E402

ROOT = Path(__file__).parents[2]
RARE = shop.GOODS[-1][0]


@pytest.fixture
def traffic(local: LocalCluster) -> Iterator[Traffic]:
    """A seeded shop, and the count of its requests."""
    configure(default=local.url)
    models.create_tables()
    shop.seed(stock=100, rare=3)
    traffic = Traffic().watch(get_cluster())
    yield traffic
    traffic.close()
    close_all()


@pytest.fixture
def client(traffic: Traffic) -> Any:
    app = create_app(traffic)
    app.testing = True
    return app.test_client()


def stock_of(sku: str) -> int:
    return int(models.Product.get(sku, consistent_read=True).stock)


def put_into_cart(client: Any, sku: str, quantity: int) -> None:
    answer = client.post("/cart", data={"sku": sku, "quantity": str(quantity)})
    assert answer.status_code == 302


def check_out(client: Any) -> str:
    """Press the button on the page of the cart; the page of the order."""
    found = re.search(r'name="order_id" value="(\w+)"', client.get("/cart").text)
    assert found
    return str(client.post("/orders", data={"order_id": found[1]}, follow_redirects=True).text)


# ---- what a customer sees ------------------------------------------------------------------------------------------


def test_the_home_page_shows_products_and_nodes(client: Any, local: LocalCluster) -> None:
    page = client.get("/").text
    for _, name, _, _ in shop.GOODS:
        assert name in page
    for node in local.nodes:
        assert node.address in page


def test_a_category_is_an_index_query(client: Any, traffic: Traffic) -> None:
    page = client.get("/?category=Pottery").text
    assert "Milk jug" in page
    assert "Sencha" not in page
    assert traffic.snapshot()["operations"]["Query"] >= 1
    assert client.get("/?category=Cars").status_code == 404


def test_ordering(client: Any) -> None:
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
    assert shop.count("orders") == 1
    assert shop.audit() == (1, [])


def test_the_button_pressed_twice_is_one_order(client: Any) -> None:
    put_into_cart(client, "can", 1)
    order_id = shop.new_order_id()
    for _ in range(2):
        client.post("/orders", data={"order_id": order_id})
    assert stock_of("can") == 99
    assert shop.audit() == (1, [])


def test_out_of_stock(client: Any) -> None:
    put_into_cart(client, RARE, 4)
    put_into_cart(client, "assam", 1)
    page = check_out(client)
    assert "rejected" in page
    assert "not enough" in page
    # What was already reserved came back.
    assert (stock_of(RARE), stock_of("assam")) == (3, 100)
    assert shop.audit() == (0, [])


def test_one_piece_left_and_many_who_want_it(traffic: Traffic) -> None:
    with ThreadPoolExecutor(8) as pool:
        orders = list(pool.map(lambda n: shop.place_order(f"customer-{n}", {RARE: 1}), range(8)))
    assert sorted(order.status for order in orders) == ["placed"] * 3 + ["rejected"] * 5
    assert shop.audit() == (3, [])


@pytest.mark.parametrize(
    ("method", "path", "data", "status"),
    [
        ("POST", "/cart", {"sku": "no-such"}, 404),
        ("POST", "/cart", {}, 404),
        ("POST", "/orders", {"order_id": "../x"}, 400),
        ("POST", "/orders", {}, 400),
        ("GET", "/orders/unknown", None, 404),
        ("GET", "/nowhere", None, 404),
    ],
)
def test_wrong_requests(client: Any, method: str, path: str, data: dict[str, str] | None, status: int) -> None:
    assert client.open(path, method=method, data=data).status_code == status


def test_another_customers_order_is_not_shown(client: Any) -> None:
    order = shop.place_order("somebody-else", {"jug": 1})
    assert client.get(f"/orders/{order.order_id}").status_code == 404


def test_no_node_at_all_is_a_page_that_says_so(client: Any, local: LocalCluster) -> None:
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
    orders = demo.Orders(pause=0.002)
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
    placed, discrepancies = shop.audit()
    assert discrepancies == []
    assert placed == orders.tally.placed
    # The counter is never too high, and too low at most by the increments whose outcome nobody knows.
    assert placed - traffic.unknown <= shop.count("orders") <= placed


def test_the_home_page_tells_of_the_dead_node(client: Any, traffic: Traffic, local: LocalCluster) -> None:
    victim = local.nodes[2]
    victim.kill()
    for _ in range(12):
        assert client.get("/cart").status_code == 200
    state = client.get("/state.json").json
    dead = next(node for node in state["nodes"] if node["address"] == victim.address)
    assert dead["state"] != "active"
    assert state["failovers"] == dead["failures"] >= 1
    assert {one["from_node"] for one in state["last_failovers"]} == {victim.address}
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
    shop.reserve("vase", 5, "order-1")
    assert traffic.unknown >= 1
    assert stock_of("vase") == 95
    shop.reserve("vase", 5, "order-1")
    assert stock_of("vase") == 95


@pytest.mark.parametrize("executed", [True, False])
def test_an_order_of_unknown_outcome_is_placed_once(traffic: Traffic, local: LocalCluster, executed: bool) -> None:
    lose_one_answer(local, "PutItem", executed=executed)
    lose_one_answer(local, "UpdateItem", executed=executed)
    order = shop.place_order("ada", {"vase": 1, "jug": 2})
    assert order.status == "placed"
    assert traffic.unknown >= 2
    assert shop.audit() == (1, [])


def test_deliveries_and_releases_happen_once(traffic: Traffic, local: LocalCluster) -> None:
    lose_one_answer(local, "UpdateItem", executed=True)
    shop.deliver("vase", 10, "delivery-1")
    shop.deliver("vase", 10, "delivery-1")
    assert stock_of("vase") == 110
    shop.reserve("vase", 10, "order-1")
    lose_one_answer(local, "UpdateItem", executed=True)
    shop.release("vase", 10, "order-1")
    shop.release("vase", 10, "order-1")
    assert stock_of("vase") == 110


def test_an_increment_is_not_sent_twice(traffic: Traffic, local: LocalCluster) -> None:
    assert shop.bump("orders")
    lose_one_answer(local, "UpdateItem", executed=True)
    assert not shop.bump("orders")
    assert shop.count("orders") == 2
    assert traffic.unknown == 1


def test_what_change_once_gives_up_on(traffic: Traffic, local: LocalCluster) -> None:
    for node in local.nodes:
        node.drop_request(None, operation="UpdateItem")
    with pytest.raises(UpdateError) as caught:
        shop.reserve("vase", 1, "order-1")
    assert isinstance(caught.value.cause, OutcomeUnknownError)
    for node in local.nodes:
        node.clear_faults()
    assert stock_of("vase") == 100


def test_settle_gives_back_what_an_unfinished_order_reserved(traffic: Traffic) -> None:
    done = shop.place_order("ada", {"vase": 1})
    unfinished = shop.place_order("ada", {"jug": 2})
    unfinished.update(actions=[models.Order.status.set("pending")])
    shop.deliver("bowl", 5, "delivery-1")
    assert shop.settle() == 0, "marks are kept while a request may still be under way"
    assert shop.settle(older_than=-1) == 3
    assert models.Order.get(unfinished.order_id).status == "rejected"
    assert models.Order.get(done.order_id).status == "placed"
    assert (stock_of("vase"), stock_of("jug"), stock_of("bowl")) == (99, 100, 105)
    assert all(not product.marks.as_dict() for product in shop.products())
    assert shop.audit() == (1, [])


# ---- the demo ------------------------------------------------------------------------------------------------------


def _run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "example_app.demo", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.slow
def test_the_demo_ends_by_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ended = _run_demo("--once", "--orders", "40", "--port", str(port))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "killed the node" in ended.stdout
    assert "all orders and stocks agree" in ended.stdout
    assert ended.stderr == ""


def test_the_demo_says_that_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = _run_demo("--once", "--port", str(port))
    assert ended.returncode == 2
    assert f"port {port} of 127.0.0.1 is in use" in ended.stderr
    assert "make demo PORT=" in ended.stderr

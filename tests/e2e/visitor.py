"""Somebody who visits one of the shops of the example, with a browser that knows no JavaScript."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import httpx

from example_app.shop.dashboard import Dashboard
from pynamodb_alternator.local import LocalCluster
from tests.browser import shops


class Visitor:
    """A browser without JavaScript, at one of the shops. It sends a form with the token of the last page."""

    def __init__(self, url: str, board: Dashboard) -> None:
        self.board = board
        self.token = ""
        self.http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def get(self, path: str, **headers: str) -> httpx.Response:
        answer = self.http.get(path, headers=headers)
        token = re.search(r'name="csrfmiddlewaretoken" value="([\w-]+)"', answer.text)
        self.token = token[1] if token else self.token
        return answer

    def post(self, path: str, data: dict[str, str], follow: bool = False, **headers: str) -> httpx.Response:
        if not self.token:
            self.get("/")
        form = {"csrfmiddlewaretoken": self.token, **data}
        return self.http.post(path, data=form, headers=headers, follow_redirects=follow)

    def token_of(self, path: str) -> str:
        """The token in the forms of a page, for one visit."""
        with self.http:
            self.get(path)
        return self.token

    def press(self, action: str, node: str = "") -> tuple[int, str]:
        """Press a button of the dashboard as its script does: the status, and what the page says then."""
        answer = self.post("/dashboard/nodes", {"action": action, "node": node}, Accept="application/json")
        return answer.status_code, answer.json()["said"]


@contextlib.contextmanager
def visiting(kind: str, local: LocalCluster) -> Iterator[Visitor]:
    """A visitor of a shop of its own, which is seeded and open on a port."""
    with shops.WITH_ASGI[kind](local) as shop, shops.opened(shop, stock=100, rare=3) as place:
        visitor = Visitor(place.url, shop.board)
        with visitor.http:
            yield visitor


def put_into_cart(client: Visitor, sku: str, quantity: int) -> None:
    answer = client.post("/cart/add", data={"sku": sku, "quantity": str(quantity)})
    assert answer.status_code in (302, 303)

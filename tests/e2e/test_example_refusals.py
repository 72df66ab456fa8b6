"""What the shops of the example refuse: one table of requests for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest

pytest.importorskip("flask")
pytest.importorskip("django")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("aiobotocore")
pytest.importorskip("httpx")

import httpx

from pynamodb_alternator.local import LocalCluster
from tests.browser import shops

from .visitor import Visitor, visiting


@pytest.fixture(params=list(shops.WITH_ASGI))
def client(request: pytest.FixtureRequest, local: LocalCluster) -> Iterator[Visitor]:
    with visiting(request.param, local) as visitor:
        yield visitor


@dataclass(frozen=True)
class Attempt:
    """A request that no page of the shop makes. `token`: of the form; `own` is that of the visitor's page."""

    path: str = "/dashboard/nodes"
    form: Mapping[str, str] | None = field(default_factory=lambda: {"action": "kill", "node": "NODE"})
    token: str | None = "own"
    host: str = "127.0.0.1"
    headers: Mapping[str, str] = field(default_factory=dict)


JSON = {"Accept": "application/json"}
FORMS = {
    "kill": Attempt(),
    "hedge": Attempt(form={"action": "hedge"}),
    "cart": Attempt("/cart/add", {"sku": "bowl"}),
    "order": Attempt("/orders/new", {"order_id": "0" * 32}),
}
TOKENS = {"no token": None, "an empty token": "", "a guessed token": "guess" * 8, "a foreign token": "another's"}
HOSTS = ("evil.example", "evil.example:5000", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.2", "a b")
PAGES = ("/", "/state.json", "/cart", "/orders", "/dashboard", "/dashboard/events")
NAMES = {
    "no action": ({}, 400),
    "another action": ({"action": "reboot", "node": "NODE"}, 400),
    "an action in capitals": ({"action": "KILL", "node": "NODE"}, 400),
    "an action of Python": ({"action": "__class__", "node": "NODE"}, 400),
    "a long action": ({"action": "kill" * 1000, "node": "NODE"}, 400),
    "no node": ({"action": "kill"}, 404),
    "another node": ({"action": "kill", "node": "127.0.0.9:1"}, 404),
    "a path": ({"action": "kill", "node": "../../etc/passwd"}, 404),
    "markup": ({"action": "kill", "node": "<script>alert(1)</script>"}, 404),
    "a long node": ({"action": "kill", "node": "9" * 5000}, 404),
    "characters": ({"action": "freeze", "node": "\u202e\u0000☃\r\nX: y"}, 404),
}
REFUSED = {
    **{
        f"{name}, {what}": (replace(form, token=token), 403)
        for name, form in FORMS.items()
        for what, token in TOKENS.items()
    },
    **{f"kill by {host}": (Attempt(host=host), 400) for host in HOSTS},
    **{f"{page} of {host}": (Attempt(page, None, host=host), 400) for page in PAGES for host in HOSTS},
    **{name: (Attempt(form=form, headers=JSON), status) for name, (form, status) in NAMES.items()},
    "kill without a cookie": (Attempt(headers={"Cookie": ""}), 403),
    "kill by a link": (Attempt("/dashboard/nodes?action=kill&node=NODE", None), 405),
}
"""What all shops refuse, and with which status."""

LARGE = Attempt(form={"action": "kill", "node": "NODE", "more": "x" * 100_000})


def try_it(client: Visitor, attempt: Attempt, node: str) -> httpx.Response:
    headers = {"Host": f"{attempt.host}:{client.http.base_url.port}" if ":" not in attempt.host else attempt.host}
    headers |= attempt.headers
    path = attempt.path.replace("NODE", node)
    if attempt.form is None:
        return client.http.get(path, headers=headers)
    form = {name: value.replace("NODE", node) for name, value in attempt.form.items()}
    if attempt.token == "another's":
        form["csrfmiddlewaretoken"] = Visitor(str(client.http.base_url), client.board).token_of("/")
    elif attempt.token is not None:
        form["csrfmiddlewaretoken"] = client.token if attempt.token == "own" else attempt.token
    return client.http.post(path, data=form, headers=headers)


def test_what_is_refused(client: Visitor, local: LocalCluster) -> None:
    """One shop after the other, all of the table: no attempt does anything, and none is an error of the server."""
    node = local.nodes[0]
    client.get("/dashboard")
    client.board.longest = 0.1
    statuses = {}
    for name, (attempt, _) in REFUSED.items():
        answer = try_it(client, attempt, node.address)
        statuses[name] = answer.status_code
        assert "html" not in answer.headers["Content-Type"] or "<script>alert" not in answer.text, name
        assert len(answer.text) < 3000, name
    assert statuses == {name: status for name, (_, status) in REFUSED.items()}
    assert (node.up, node.hung, client.board.presses, client.board.looks.hedged) == (True, False, 0, False)
    assert client.board.streams == 0
    assert "It is empty" in client.get("/cart").text
    assert try_it(client, LARGE, node.address).status_code in (400, 413)
    assert node.up
    client.get("/dashboard")
    # The same button, pressed on the page, and the same pages under the shop's own names.
    assert client.press("kill", node.address)[0] == 200
    for host in ("127.0.0.1", "localhost", "127.0.0.1:80"):
        assert client.get("/dashboard", Host=host).status_code == 200, host


def test_the_token_may_come_in_a_header(client: Visitor) -> None:
    client.get("/dashboard")
    form = {"action": "hedge"}
    answer = client.http.post("/dashboard/nodes", data=form, headers={"X-CSRFToken": client.token})
    assert answer.status_code in (302, 303)
    assert client.board.looks.hedged

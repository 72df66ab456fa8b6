"""What the shops of the example refuse: one table of requests for all of them, each written byte by byte."""

from __future__ import annotations

import http.client
import socket
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

pytest.importorskip("flask")
pytest.importorskip("django")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("aiobotocore")
pytest.importorskip("httpx")

from example_app.shop import tokens
from pynamodb_alternator.local import LocalCluster
from tests.browser import shops

from .visitor import Visitor, visiting


@pytest.fixture(params=list(shops.WITH_ASGI))
def client(request: pytest.FixtureRequest, local: LocalCluster) -> Iterator[Visitor]:
    with visiting(request.param, local) as visitor:
        yield visitor


FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Attempt:
    """A request that no page of the shop makes.

    `form`: fields, or the body as it is; None for a request without a body. `token`: of the form; `own` is that of the
    visitor's page. In all texts NODE is the address of a node, OWN the shop's own host and port, and TOKEN the token.
    """

    path: str = "/dashboard/nodes"
    form: Mapping[str, str] | str | None = field(default_factory=lambda: {"action": "kill", "node": "NODE"})
    token: str | None = "own"
    host: str = "127.0.0.1"
    method: str = ""
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
ORIGINS = (
    "http://evil.example",
    "null",
    "",
    "http://127.0.0.1:1",
    "http://OWN.evil.example",
    "http://evil.example@OWN",
)
PAGES = ("/", "/state.json", "/cart", "/orders", "/dashboard", "/dashboard/events")
WATCHED = ("/dashboard/events", "/state.json")
"""What a script reads, and could read on a page of another site, if that were not refused."""
METHODS = ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "BREW")
NAMES = {
    "no action": ({}, 400),
    "another action": ({"action": "reboot", "node": "NODE"}, 400),
    "an action in capitals": ({"action": "KILL", "node": "NODE"}, 400),
    "an action of Python": ({"action": "__class__", "node": "NODE"}, 400),
    "a long action": ({"action": "kill" * 1000, "node": "NODE"}, 400),
    "no node": ({"action": "kill"}, 404),
    "an empty node": ({"action": "kill", "node": ""}, 404),
    "another node": ({"action": "kill", "node": "127.0.0.9:1"}, 404),
    "a number": ({"action": "kill", "node": "0"}, 404),
    "an IPv6 node": ({"action": "kill", "node": "[::1]:8000"}, 404),
    "a node with spaces": ({"action": "kill", "node": " NODE "}, 404),
    "a node with a line end": ({"action": "kill", "node": "NODE\n"}, 404),
    "a node in percent": ({"action": "kill", "node": "%31%32%37.0.0.1"}, 404),
    "a path": ({"action": "kill", "node": "../../etc/passwd"}, 404),
    "markup": ({"action": "kill", "node": "<script>alert(1)</script>"}, 404),
    "a long node": ({"action": "kill", "node": "9" * 50_000}, 404),
    "characters": ({"action": "freeze", "node": "\u202e\u0000☃\r\nX: y"}, 404),
}
BODIES = {
    "an action twice": ("action=kill&action=revive&node=NODE", FORM, (400,)),
    "a node twice": ("action=kill&node=NODE&node=NODE", FORM, (400,)),
    "a token twice": (f"{tokens.FIELD}=TOKEN&{tokens.FIELD}=guess&action=kill&node=NODE", FORM, (400, 403)),
    "a hundred thousand bytes": (f"action=kill&node=NODE&more={'x' * 100_000}", FORM, (400, 413)),
    "two thousand fields": ("action=kill&node=NODE" + "&a=1" * 2000, FORM, (400,)),
    "bytes of no text": ("action=kill&node=%ff%fe", FORM, (404,)),
    "a broken percentage": ("action=kill&node=%zz%", FORM, (404,)),
    "plain text": ("action=kill&node=NODE", "text/plain", (400,)),
    "no type": ("action=kill&node=NODE", "", (400,)),
    "JSON": ('{"action": "kill", "node": "NODE"}', "application/json", (400,)),
    "broken parts": ("--b\r\nContent-Disposition", "multipart/form-data; boundary=b", (400,)),
}
"""With the right token in a header: body, type, and the answers of the frameworks."""
REFUSED: dict[str, tuple[Attempt, Sequence[int]]] = {
    **{
        f"{name}, {what}": (replace(form, token=token), (403,))
        for name, form in FORMS.items()
        for what, token in TOKENS.items()
    },
    **{
        f"{name} of a page of {origin!r}": (replace(form, headers={"Origin": origin}), (403,))
        for name, form in FORMS.items()
        for origin in ORIGINS
    },
    **{
        f"{path} for a page of {origin!r}": (Attempt(path, None, headers={"Origin": origin}), (403,))
        for path in WATCHED
        for origin in ORIGINS
    },
    **{f"kill by {host}": (Attempt(host=host), (400,)) for host in HOSTS},
    **{f"{page} of {host}": (Attempt(page, None, host=host), (400,)) for page in PAGES for host in HOSTS},
    **{name: (Attempt(form=form, headers=JSON), (status,)) for name, (form, status) in NAMES.items()},
    **{
        f"kill, with {name}": (
            Attempt(form=body, headers={**JSON, "Content-Type": kind, tokens.HEADER: "TOKEN"}),
            statuses,
        )
        for name, (body, kind, statuses) in BODIES.items()
    },
    **{
        f"{method} {path}": (Attempt(path, form, method=method), (400, 403, 405))
        for method in METHODS
        for path, form in (("/dashboard/nodes", {"action": "kill", "node": "NODE"}), ("/dashboard/events", None))
    },
    "events by a form": (Attempt("/dashboard/events"), (405,)),
    "kill in text, without a header": (Attempt(headers={"Content-Type": "text/plain"}), (403,)),
    "kill without a cookie": (Attempt(headers={"Cookie": ""}), (403,)),
    "kill with cookies of another shop": (Attempt(headers={"Cookie": "session=e30.aaaaaa.bbbb; csrftoken=x"}), (403,)),
    "kill by a link": (Attempt("/dashboard/nodes?action=kill&node=NODE", None), (405,)),
    "kill by the address": (Attempt("/dashboard/nodes?action=kill&node=NODE", {}, headers=JSON), (400,)),
    "kill by the address, with the token there": (
        Attempt(f"/dashboard/nodes?action=kill&node=NODE&{tokens.FIELD}=TOKEN", {}, None),
        (403,),
    ),
    "a static file that is not there": (Attempt("/static/none.js", None), (404,)),
}
"""What all shops refuse, and with which of these statuses."""


@dataclass(frozen=True)
class Answer:
    status: int
    type: str
    text: str


def try_it(client: Visitor, attempt: Attempt, node: str) -> Answer:
    own = client.http.base_url.netloc.decode()

    def filled(text: str) -> str:
        return text.replace("NODE", node).replace("OWN", own).replace("TOKEN", client.token)

    body = _body(client, attempt, filled)
    method = attempt.method or ("GET" if body is None else "POST")
    headers = {
        "Host": attempt.host if ":" in attempt.host else f"{attempt.host}:{client.http.base_url.port}",
        "Cookie": "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.http.cookies.jar),
        **({} if body is None else {"Content-Type": FORM, "Content-Length": str(len(body))}),
        "Connection": "close",
        **{name: filled(value) for name, value in attempt.headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return exchange(client, method, f"{method} {filled(attempt.path)} HTTP/1.1\r\n{head}\r\n".encode() + (body or b""))


def _body(client: Visitor, attempt: Attempt, filled: Callable[[str], str]) -> bytes | None:
    if attempt.form is None:
        return None
    if isinstance(attempt.form, str):
        return filled(attempt.form).encode()
    form = {name: filled(value) for name, value in attempt.form.items()}
    if attempt.token == "another's":
        form[tokens.FIELD] = Visitor(str(client.http.base_url), client.board).token_of("/")
    elif attempt.token is not None:
        form[tokens.FIELD] = client.token if attempt.token == "own" else attempt.token
    return urllib.parse.urlencode(form).encode()


def exchange(client: Visitor, method: str, request: bytes) -> Answer:
    with socket.create_connection((client.http.base_url.host, client.http.base_url.port), timeout=30) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        return Answer(answer.status, answer.getheader("Content-Type", ""), answer.read().decode(errors="replace"))


def test_what_is_refused(client: Visitor, local: LocalCluster) -> None:
    """One shop after the other, all of the table: no attempt does anything, and none is an error of the server."""
    node = local.nodes[0]
    client.get("/dashboard")
    client.board.longest = 0.1
    others = {}
    for name, (attempt, statuses) in REFUSED.items():
        answer = try_it(client, attempt, node.address)
        if answer.status not in statuses:
            others[name] = answer.status
        assert "html" not in answer.type or "<script>alert" not in answer.text, name
        assert len(answer.text) < 3000, name
    assert others == {}
    assert (node.up, node.hung, client.board.presses, client.board.looks.hedged) == (True, False, 0, False)
    assert client.board.streams == 0
    assert "It is empty" in client.get("/cart").text
    # The same button, pressed on the page, and the same pages under the shop's own names.
    client.get("/dashboard")
    assert client.press("kill", node.address)[0] == 200
    for host in ("127.0.0.1", "localhost", "127.0.0.1:80"):
        assert client.get("/dashboard", Host=host).status_code == 200, host


def test_what_a_browser_sends_with_its_own_pages_is_taken(client: Visitor, local: LocalCluster) -> None:
    client.get("/dashboard")
    client.board.longest = 0.1
    own = {"Origin": "http://OWN"}
    assert try_it(client, Attempt(headers={**own, **JSON}), local.nodes[0].address).status == 200
    assert not local.nodes[0].up
    for path in WATCHED:
        assert try_it(client, Attempt(path, None, headers=own), "").status == 200


def test_the_token_may_come_in_a_header(client: Visitor) -> None:
    client.get("/dashboard")
    form = {"action": "hedge"}
    answer = client.http.post("/dashboard/nodes", data=form, headers={"X-CSRFToken": client.token})
    assert answer.status_code in (302, 303)
    assert client.board.looks.hedged

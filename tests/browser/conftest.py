"""A shop with customers, and a browser that looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster

from . import chromium, shops


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # For one module only: Playwright keeps an event loop in this thread, which other tests want for themselves.
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make dev")
    if chromium.executable() is None:
        pytest.skip("there is no Chromium: install it (Debian: apt-get install chromium), or name it in CHROMIUM")
    with chromium.launched() as browser:
        yield browser


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=3, replication_factor=2) as cluster:
        yield cluster


@pytest.fixture
def kind() -> str:
    """Which of the shops."""
    return "flask"


@pytest.fixture
def shop(kind: str, local: LocalCluster) -> Iterator[shops.Shop]:
    with shops.SHOPS[kind](local) as shop:
        yield shop


@pytest.fixture
def url(shop: shops.Shop) -> Iterator[str]:
    with shops.busy(shop) as url:
        yield url


class Visit:
    """A page of its own, which must not complain, nor ask anybody else for anything."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)
        self.page.on("requestfailed", self._failed)
        self.page.on("request", lambda request: self._is_ours(request.url, url))
        self.may_complain = False

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not self.may_complain:
            self.complaints.append(message.text)

    def _failed(self, request: Any) -> None:
        # Leaving a page ends its stream and what it was loading.
        if request.failure != "net::ERR_ABORTED" and not self.may_complain:
            self.complaints.append(f"{request.url}: {request.failure}")

    def _is_ours(self, asked: str, url: str) -> None:
        if not asked.startswith(url):
            self.complaints.append(f"asked for {asked}")


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    visits: list[Visit] = []

    def open_(url: str, path: str = "/dashboard", **options: Any) -> Visit:
        visits.append(Visit(browser, url, **options))
        visits[-1].page.goto(url + path)
        return visits[-1]

    yield open_
    for visit in visits:
        visit.context.close()
    assert [complaint for visit in visits for complaint in visit.complaints] == []

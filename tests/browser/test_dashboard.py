"""The dashboard in a browser: what a visitor sees when a node dies and comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make dev")
pytest.importorskip("flask")
pytest.importorskip("django")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("aiobotocore")

from playwright.sync_api import Page, expect

from pynamodb_alternator.local import LocalCluster

from . import shops
from .conftest import Visit

expect.set_options(timeout=15_000)

Open = Callable[..., Visit]
# In the tests' parameters `visit` comes after `url`, so that browsers leave before the server does.


def card_of(page: Page, address: str) -> Any:
    return page.locator(f'[data-node="{address}"]')


def keys_by_node(page: Page) -> dict[str, set[str]]:
    return {
        str(card.get_attribute("data-node")): set(
            card.locator(".key").evaluate_all("all => all.map(x => x.dataset.key)")
        )
        for card in page.locator("[data-node]").all()
    }


def live(page: Page) -> None:
    """The page has heard from the server."""
    expect(page.locator("[data-live]")).to_have_text("live")
    expect(page.locator(".card.active")).to_have_count(3)


@pytest.mark.parametrize("kind", list(shops.SHOPS))
def test_a_node_is_killed_and_revived(url: str, visit: Open, local: LocalCluster) -> None:
    page = visit(url).page
    live(page)
    before = keys_by_node(page)
    assert set(before) == {node.address for node in local.nodes}
    assert sum(len(keys) for keys in before.values()) == 14
    victim = max(before, key=lambda address: len(before[address]))
    card = card_of(page, victim)

    card.get_by_role("button", name="Kill").click()
    expect(card.get_by_role("button", name="Kill")).to_be_disabled()
    expect(card.locator(".pill")).to_contain_text("down")
    expect(card).to_contain_text("Killed here")
    expect(card.locator(".key")).to_have_count(0)
    # Its keys, and no others, went elsewhere, and look like what they are.
    expect(page.locator(".key.moved")).to_have_count(len(before[victim]))
    after = keys_by_node(page)
    for address, keys in before.items():
        if address != victim:
            assert keys <= after[address]
    expect(page.locator("[data-said]")).to_contain_text("keys moved")
    expect(page.locator("[data-happened] li").first).to_contain_text("down")
    assert not local.node(victim).up

    card.get_by_role("button", name="Revive").click()
    expect(card.locator(".pill")).to_have_text("active")
    expect(page.locator(".key.moved")).to_have_count(0)
    assert keys_by_node(page) == before
    expect(card.get_by_role("button", name="Kill")).to_be_enabled()
    expect(page.locator('[data-figure="errors"]')).to_have_text("0")


def test_keys_show_which_nodes_hold_them(url: str, visit: Open, local: LocalCluster) -> None:
    page = visit(url).page
    live(page)
    expect(page.locator(".hint")).to_be_visible()
    chip = page.locator('[data-key="shop_counters/orders"]')
    labels = dict(zip(sorted(local.addresses), "ABC", strict=True))
    holders = "".join(sorted(labels[node.address] for node in local.replicas("shop_counters", "orders")))
    expect(chip).to_have_attribute("data-replicas", holders)
    assert "it is on " + ", ".join(holders) in str(chip.get_attribute("title"))
    expect(page.locator('[data-figure="replicas"]')).to_contain_text("%")


def test_a_node_is_frozen_by_keyboard(url: str, visit: Open, local: LocalCluster) -> None:
    page = visit(url, reduced_motion="reduce").page
    live(page)
    card = card_of(page, local.nodes[1].address)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    card.get_by_role("button", name="Kill").focus()
    page.keyboard.press("Tab")
    expect(card.get_by_role("button", name="Freeze")).to_be_focused()
    page.keyboard.press("Enter")
    expect(card).to_contain_text("Frozen here")
    assert local.nodes[1].hung
    expect(card.locator(".pill")).to_contain_text("down")
    expect(page.locator("[data-failovers] li.none")).to_have_count(0)
    card.get_by_role("button", name="Revive").press("Space")
    expect(card.locator(".pill")).to_have_text("active")


def test_the_last_node_is_spared(url: str, visit: Open, local: LocalCluster) -> None:
    page = visit(url).page
    live(page)
    first, second, last = (card_of(page, node.address) for node in local.nodes)
    for card in (first, second):
        card.get_by_role("button", name="Kill").click()
        expect(card).to_contain_text("Killed here")
    for name in ("Kill", "Freeze", "Revive"):
        expect(last.get_by_role("button", name=name)).to_be_disabled()
    expect(last).to_contain_text("The last node that runs")
    first.get_by_role("button", name="Revive").click()
    expect(last.get_by_role("button", name="Kill")).to_be_enabled()
    assert local.nodes[2].up


def test_an_old_page_learns_that_the_last_node_is_spared(url: str, visit: Open, local: LocalCluster) -> None:
    visitor = visit(url)
    page = visitor.page
    live(page)
    visitor.may_complain = True  # Chromium tells of the answer 409 in its console
    for node in local.nodes[:2]:
        card_of(page, node.address).get_by_role("button", name="Kill").click()
        expect(card_of(page, node.address)).to_contain_text("Killed here")
    button = card_of(page, local.nodes[2].address).get_by_role("button", name="Kill")
    expect(button).to_be_disabled()
    button.evaluate("button => { button.disabled = false; button.click(); }")
    expect(page.locator(".said.refused")).to_contain_text("the last node that runs")
    assert local.nodes[2].up


def test_a_frozen_node_with_hedged_reads(url: str, visit: Open, local: LocalCluster) -> None:
    page = visit(url).page
    live(page)
    on = page.get_by_role("button", name="Hedged reads on")
    expect(on).to_have_attribute("aria-pressed", "false")
    on.click()
    expect(on).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Hedged reads off")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("[data-said]")).to_contain_text("Reads are hedged")
    card_of(page, local.nodes[1].address).get_by_role("button", name="Freeze").click()
    expect(page.locator('[data-figure="hedges"]')).not_to_have_text("0")
    expect(page.locator('[data-figure="slowest"]')).to_contain_text("ms")
    expect(page.locator('[data-figure="errors"]')).to_have_text("0")


_NOUN = """
([inside, name, count]) => {
  const copy = document.querySelector(inside).cloneNode(true);
  showNouns(copy, { [name]: count });
  return copy.querySelector(`[data-noun="${name}"]`).textContent;
}
"""


def test_numbers_have_their_nouns(url: str, visit: Open) -> None:
    page = visit(url).page
    live(page)
    nouns = [page.evaluate(_NOUN, [".figures", "failovers", count]) for count in (0, 1, 2)]
    assert nouns == ["failovers", "failover", "failovers"]
    assert page.evaluate(_NOUN, [".card", "keys", 1]) == "key"
    page.goto(url + "/")
    assert page.evaluate(_NOUN, [".figures", "visits", 1]) == "visit"
    assert page.evaluate(_NOUN, [".node", "attempts", 1]) == "request"


def test_figures_stay_short(url: str, visit: Open) -> None:
    page = visit(url).page
    live(page)
    assert page.evaluate("[duration(52.4), duration(999), duration(2265)]") == ["52 ms", "999 ms", "2.3 s"]
    assert page.evaluate("[count(999999), count(12345678)]") == ["999,999", "12.35M"]
    height = page.locator(".figures").bounding_box()["height"]
    page.evaluate(
        "document.querySelectorAll('.figure dd').forEach(x => "
        "{ x.textContent = {slowest: '12.3 s', replicas: '100 %'}[x.dataset.figure] || '12,345' })"
    )
    assert page.locator(".figures").bounding_box()["height"] == height


def test_the_page_tells_whose_the_nodes_are(url: str, visit: Open, shop: shops.Shop) -> None:
    shop.board.has_script = True
    page = visit(url).page
    intro = page.locator(".intro")
    expect(intro).to_contain_text("The demo kills and freezes nodes by itself")
    live(page)
    expect(intro).to_contain_text("The demo kills and freezes nodes by itself")
    expect(intro).not_to_contain_text("The nodes are yours", use_inner_text=True)
    page.get_by_role("button", name="Hedged reads on").click()
    expect(intro).to_contain_text("The nodes are yours", use_inner_text=True)
    expect(intro).not_to_contain_text("by itself", use_inner_text=True)


def test_the_page_of_a_demo_that_was_started_again_is_loaded_again(url: str, visit: Open) -> None:
    page = visit(url).page
    live(page)
    page.evaluate("window.isOld = true; show({nodes: [{address: '127.0.0.9:1'}]})")
    page.wait_for_function("window.isOld === undefined")
    live(page)
    expect(page.locator("[data-node]")).to_have_count(3)


def test_the_answer_to_a_press_leaves_what_the_picture_told(url: str, visit: Open) -> None:
    page = visit(url).page
    live(page)
    page.evaluate("tell('Node B is down.'); tell('It was killed.'); tell('It was killed.')")
    expect(page.locator("[data-said]")).to_have_text("Node B is down. It was killed.")


def test_the_card_of_a_returning_node_shows_its_share(url: str, visit: Open, local: LocalCluster) -> None:
    page = visit(url).page
    live(page)
    card = card_of(page, local.nodes[0].address)
    card.get_by_role("button", name="Kill").click()
    expect(card.locator(".pill")).to_contain_text("down")
    card.get_by_role("button", name="Revive").click()
    expect(card.locator("[data-is=back]")).to_contain_text("of its usual share")


@pytest.mark.parametrize("kind", list(shops.SHOPS))
def test_on_a_phone_nothing_is_wider_than_the_screen(url: str, visit: Open) -> None:
    page = visit(url, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True).page
    for path in ("/dashboard", "/", "/cart", "/orders"):
        page.goto(url + path)
        if path == "/dashboard":
            live(page)
            for button in page.locator(".buttons button").all():
                assert button.bounding_box()["height"] >= 44, "a finger needs that much"
        assert page.evaluate("() => document.documentElement.scrollWidth") == 360, path


_CONTRASTS = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const over = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const poor = [];
  for (const element of document.querySelectorAll("#main *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const isSeen = element.checkVisibility({visibilityProperty: true, opacityProperty: true});
    if (!own || !isSeen || element.disabled) continue;
    const grounds = [];
    for (let one = element; one; one = one.parentElement) grounds.unshift(getComputedStyle(one).backgroundColor);
    const [ground, ink] = [light(over(grounds)), light(over([...grounds, getComputedStyle(element).color]))];
    const ratio = (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05);
    const name = element.className || element.tagName;
    if (ratio < 4.5) poor.push(`${name} "${element.textContent.trim()}" ${ratio.toFixed(1)}`);
  }
  return poor;
}
"""


def test_everybody_can_read_it(url: str, visit: Open, local: LocalCluster) -> None:
    page = visit(url, reduced_motion="reduce").page
    live(page)
    card_of(page, local.nodes[1].address).get_by_role("button", name="Kill").click()
    expect(page.locator(".card.down")).to_have_count(1)
    expect(page.locator(".key.moved").first).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert page.evaluate(_CONTRASTS) == [], scheme
    names = page.locator(".buttons button").evaluate_all("all => all.map(x => x.ariaLabel)")
    assert len(set(names)) == 9, "each button says of which node it is"


def test_the_page_says_that_the_shop_does_not_answer(shop: shops.Shop, visit: Open) -> None:
    with shops.busy(shop) as url:
        visitor = visit(url)
        visitor.page.clock.install()
        visitor.page.reload()
        live(visitor.page)
        visitor.may_complain = True
    visitor.page.clock.fast_forward(5_000)
    expect(visitor.page.locator("[data-live]")).to_have_text("the shop does not answer")


def test_a_hidden_page_uses_no_stream(url: str, visit: Open, shop: shops.Shop) -> None:
    page = visit(url).page
    live(page)
    assert shop.board.streams == 1
    page.goto(url + "/cart")
    for _ in range(200):
        if shop.board.streams == 0:
            break
        page.wait_for_timeout(50)
    assert shop.board.streams == 0


def test_on_a_real_cluster_the_buttons_are_off(local: LocalCluster, visit: Open) -> None:
    with shops.at_flask(local, real=True) as shop, shops.busy(shop) as url:
        visitor = visit(url)
        live(visitor.page)
        expect(visitor.page.locator(".buttons button:disabled")).to_have_count(9)
        expect(visitor.page.locator("#why")).to_contain_text("This is a real cluster")
        visitor.context.close()


def test_the_home_page_is_alive_too(url: str, visit: Open) -> None:
    page = visit(url, "/").page
    requests = page.locator('[data-figure="requests"]')
    shown = requests.inner_text()
    expect(requests).not_to_have_text(shown)
    page.get_by_role("link", name="Watch the cluster live").click()
    live(page)

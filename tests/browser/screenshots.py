"""The pictures of the documentation: ``make screenshots``. Needs Chromium, Playwright and Pillow, and two minutes."""

from __future__ import annotations

import io
import logging
import sys
import time
from pathlib import Path
from typing import Any

from pynamodb_alternator.local import LocalCluster

from . import chromium, shops

IMAGES = Path(__file__).parents[2] / "docs/images"
MOST_BYTES = 150 * 1024
MINUTE = 62
"""Seconds until the charts are full."""


def keep(name: str, png: bytes) -> None:
    """Save a picture with few colours: text and charts need no more."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    path = IMAGES / name
    small.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(Path.cwd())}: {size:,} bytes")
    if size > MOST_BYTES:
        raise SystemExit(f"{name} has {size:,} bytes; {MOST_BYTES:,} are allowed.")


def take(browser: Any, url: str) -> None:
    """A wide page and a phone look on while a node dies, comes back, and another one freezes."""
    wide = browser.new_page(viewport={"width": 1100, "height": 1110})
    phone = browser.new_context(
        viewport={"width": 375, "height": 812}, color_scheme="dark", is_mobile=True, has_touch=True
    ).new_page()
    home = browser.new_page(viewport={"width": 1100, "height": 900})
    for page, path in ((wide, "/dashboard"), (phone, "/dashboard"), (home, "/")):
        page.goto(url + path)
    print(f"waiting {MINUTE} s, until the charts are full", flush=True)
    time.sleep(MINUTE)
    keep("shop.png", home.screenshot())
    home.close()

    cards = wide.locator("[data-node]")
    victim = max(range(cards.count()), key=lambda index: cards.nth(index).locator(".key").count())
    cards.nth(victim).get_by_role("button", name="Kill").click()
    wide.wait_for_selector(".key.moved")
    wide.wait_for_timeout(250)
    keep("dashboard-keys-move.png", wide.screenshot())
    phone.wait_for_timeout(6000)
    keep("dashboard-phone.png", phone.screenshot(full_page=True))
    wide.wait_for_timeout(4000)
    keep("dashboard-down.png", wide.screenshot())
    cards.nth(victim).get_by_role("button", name="Revive").click()
    wide.wait_for_selector(".card.active >> nth=2")
    wide.emulate_media(color_scheme="dark")
    wide.wait_for_timeout(9000)
    keep("dashboard-dark.png", wide.screenshot())

    wide.emulate_media(color_scheme="light")
    wide.get_by_role("button", name="Hedged reads on").click()
    wide.wait_for_timeout(10_000)  # until the slowest read is one of now
    cards.nth((victim + 1) % cards.count()).get_by_role("button", name="Freeze").click()
    wide.wait_for_selector(".card.down")
    wide.wait_for_timeout(1000)
    keep("dashboard-hedged.png", wide.screenshot())


def main() -> int:
    if chromium.executable() is None:
        print("There is no Chromium: install it (Debian: apt-get install chromium), or name it in CHROMIUM.")
        return 1
    logging.getLogger("pynamodb_alternator").setLevel(logging.CRITICAL)
    IMAGES.mkdir(exist_ok=True)
    with (
        LocalCluster(nodes=3, replication_factor=2) as local,
        shops.at_flask(local) as shop,
        shops.busy(shop, pause=0.15, stock=20_000) as url,
        chromium.launched() as browser,
    ):
        take(browser, url)
    return 0


if __name__ == "__main__":
    sys.exit(main())

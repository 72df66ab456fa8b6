"""Finds the links of the built documentation that lead nowhere.

``python -m tests.links docs/_build/html`` (`make docs` does it) names each, and exits with 1 if there is any. Links to
pages, files and places in pages are followed. Of links to other sites, only the form is checked, without the network.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

FOREIGN = frozenset({"http", "https"})
OF_OTHERS = ("_static/", "genindex.html", "search.html", "py-modindex.html")
"""What Sphinx and its theme make: not ours to check."""


class Page(NamedTuple):
    anchors: frozenset[str]
    links: tuple[str, ...]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.anchors.update(filter(None, (values.get("id"), values.get("name") if tag == "a" else None)))
        link = values.get("href" if tag in ("a", "link") else "src")
        if link and not link.startswith(("data:", "javascript:")):
            self.links.append(link)


def read(html: str) -> Page:
    """The anchors and the links of a page."""
    reader = _Reader()
    reader.feed(html)
    return Page(frozenset(reader.anchors), tuple(reader.links))


def wrong_form(link: str) -> str:
    """What is wrong with the form of a link to another site; empty if nothing is."""
    parts = urlsplit(link)
    host = parts.hostname or ""
    if any(character in link for character in " <>\"'`") or not host:
        return "is not an address"
    if _is_loopback(host):
        return ""
    if "." not in host.strip("."):
        return f"has the host {host!r}, which is not a name of the internet"
    return "" if parts.scheme == "https" else "is not https"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def dead_links(folder: Path) -> Iterator[str]:
    """Each link that leads nowhere, with its page and the reason."""
    pages = {path.relative_to(folder).as_posix(): read(path.read_text(encoding="utf-8")) for path in _pages(folder)}
    for name, page in sorted(pages.items()):
        for link in dict.fromkeys(page.links):
            reason = _why_dead(folder, pages, name, link)
            if reason:
                yield f"{name}: {link} {reason}"


def _pages(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.html") if not path.relative_to(folder).as_posix().startswith(OF_OTHERS))


def _why_dead(folder: Path, pages: dict[str, Page], name: str, link: str) -> str:
    if urlsplit(link).scheme in FOREIGN:
        return wrong_form(link)
    if urlsplit(link).scheme:
        return "has a scheme that no reader can open" if urlsplit(link).scheme != "mailto" else ""
    target = urlsplit(urljoin(f"/{name}", link))
    path, anchor = unquote(target.path).lstrip("/"), unquote(target.fragment)
    if not (folder / path).is_file():
        return "leads to a file that is not there"
    if anchor and path in pages and anchor not in pages[path].anchors:
        return "leads to a place that its page does not have"
    return ""


def main(folder: str) -> int:
    dead = list(dead_links(Path(folder)))
    print("\n".join(dead) if dead else "All links lead somewhere.")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

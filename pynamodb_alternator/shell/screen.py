"""The output of the commands. The text is the same everywhere; a terminal shows colours if rich is installed.

This module makes the layout, so it is the same with and without rich. If a table is too wide for the terminal, its rows
become stacks of lines, and nothing is cut.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TextIO

from .output import writing

__all__ = ["BAD", "DIM", "GOOD", "HEAD", "PLAIN", "WARN", "Line", "Screen", "Text"]

PLAIN, DIM, GOOD, WARN, BAD, HEAD = "", "dim", "green", "yellow", "bold red", "bold"

Text = tuple[str, str]
"""A piece of text, and its style."""
Line = Sequence[Text]

_WIDTH_OF_A_FILE = 100
_NARROWEST = 24
_GAP = "  "


class Screen:
    """The output of a command.

    `as_json`: one JSON document instead of text. `plain`: no colours, even if the terminal has them. `out`: where to
    write, by default standard output.
    """

    def __init__(self, *, as_json: bool = False, plain: bool = False, out: TextIO | None = None) -> None:
        # Python has no standard output if the caller has closed it. Then the output is discarded.
        self._out = out or sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        self.as_json = as_json
        columns = shutil.get_terminal_size((_WIDTH_OF_A_FILE, 24)).columns
        self.width: int = max(_NARROWEST, columns)
        # An object without an encoding is not a file, and accepts every character.
        self._encoding = self._out.encoding or "utf-8"
        is_drawn = self._out.isatty() and os.environ.get("TERM") != "dumb" and self._has_all_characters()
        self._console = _console(self._out, self.width) if is_drawn and not as_json and not plain else None
        self._gathered: list[Line] | None = None

    @property
    def is_live(self) -> bool:
        """Whether the output can be redrawn, for progress and changing lines."""
        return self._console is not None

    def char(self, character: str, instead: str) -> str:
        """A character of Unicode, or its replacement if the terminal does not have it."""
        try:
            character.encode(self._encoding)
        except (UnicodeEncodeError, LookupError):
            return instead
        return character

    def _has_all_characters(self) -> bool:
        # rich draws with characters of its own, and writes ours as they are.
        return self.char("⠋", "") != ""

    # ---- writing -----------------------------------------------------------------------------------------------

    def document(self, value: Any, *, in_one_line: bool = False) -> None:
        """Write a JSON document: the only one of a command, or with `in_one_line` one of several."""
        self.write(json.dumps(value, indent=None if in_one_line else 2, default=str) + "\n")

    def write(self, text: str) -> None:
        """Write text unchanged."""
        with writing():
            self._out.write(text)
            self._out.flush()

    def line(self, *texts: Text) -> None:
        texts = tuple((_visible(text), style) for text, style in texts)
        if self._gathered is not None:
            self._gathered.append(texts)
        elif self._console is not None:
            with writing():
                self._console.print(_rich_text([texts]), soft_wrap=True)
        else:
            self.write(self._readable("".join(text for text, _ in texts).rstrip()) + "\n")

    @contextmanager
    def gathering(self) -> Iterator[list[Line]]:
        """Collect the lines that are written in the ``with`` block in this list, and do not write them."""
        before, self._gathered = self._gathered, []
        try:
            yield self._gathered
        finally:
            self._gathered = before

    def _readable(self, text: str) -> str:
        return text.encode(self._encoding, "replace").decode(self._encoding)

    def paragraph(self, text: str, style: str = PLAIN, *, first: Text = ("", PLAIN), indent: int = 0) -> None:
        """Write wrapped text. `first` comes before its first line, and the other lines are indented."""
        room = max(_NARROWEST // 2, self.width - indent)
        lines = textwrap.wrap(_visible(text, keep="\t\n\r"), room, break_long_words=True, break_on_hyphens=False) or [
            ""
        ]
        for number, part in enumerate(lines):
            before = (pad(first[0], indent), first[1]) if number == 0 else (" " * indent, PLAIN)
            self.line(before, (part, style))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Text]], *, right: Sequence[int] = ()) -> None:
        """Write columns that are as wide as their content. If they do not fit, each row becomes a stack of lines.

        `right`: the numbers of the columns that are aligned at the right.
        """
        rows = [[(_visible(text), style) for text, style in row] for row in rows]
        cells = [[text for text, _ in row] for row in rows]
        widths = [max([width(name), *(width(row[column]) for row in cells)]) for column, name in enumerate(head)]
        if sum(widths) + len(_GAP) * (len(widths) - 1) > self.width:
            self._stacks(head, rows, has_title=0 not in right)
            return
        self.line(*self._row([(name, HEAD) for name in head], widths, right))
        for row in rows:
            self.line(*self._row(row, widths, right))

    def _row(self, row: Sequence[Text], widths: Sequence[int], right: Sequence[int]) -> list[Text]:
        texts: list[Text] = []
        for column, (text, style) in enumerate(row):
            space = " " * (widths[column] - width(text))
            if texts:
                texts.append((_GAP, PLAIN))
            texts += [(space, PLAIN), (text, style)] if column in right else [(text, style), (space, PLAIN)]
        return texts

    def _stacks(self, head: Sequence[str], rows: Sequence[Sequence[Text]], *, has_title: bool) -> None:
        """`has_title`: the first column says what the row is about, and needs no label."""
        start = 1 if has_title else 0
        names = max(map(width, head[start:]), default=0)
        for row in rows:
            if has_title:
                self.line((row[0][0], HEAD))
            for name, (text, style) in zip(head[start:], row[start:], strict=True):
                if text:
                    self.paragraph(text, style, first=(f"  {pad(name, names)}  ", DIM), indent=names + 4)

    # ---- output that is redrawn --------------------------------------------------------------------------------

    def waiting(self, text: str) -> AbstractContextManager[Any]:
        """Show that work is under way, while the ``with`` block runs."""
        if self._console is None:
            return nullcontext()
        return self._console.status(text)  # type: ignore[no-any-return]

    def live(self) -> AbstractContextManager[Callable[[Sequence[Line]], None]]:
        """``with screen.live() as show: show(lines)`` replaces the lines that were shown last."""
        if self._console is None:
            return nullcontext(lambda lines: None)
        return _Live(self._console)


class _Live:
    def __init__(self, console: Any) -> None:
        from rich.live import Live

        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Callable[[Sequence[Line]], None]:
        self._live.start()
        return lambda lines: self._live.update(_rich_text(lines), refresh=True)

    def __exit__(self, *_: object) -> None:
        self._live.stop()


def _console(out: TextIO, columns: int) -> Any:
    """rich's console, or None if rich is not installed."""
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=out, width=columns, highlight=False, markup=False, emoji=False)


def _rich_text(lines: Sequence[Line]) -> Any:
    from rich.text import Text as RichText

    made = RichText()
    for number, line in enumerate(lines):
        if number:
            made.append("\n")
        for text, style in line:
            made.append(text, style or None)
    made.rstrip()
    return made


def _visible(text: str, *, keep: str = "") -> str:
    """The text, in which control characters, and all other characters that a terminal executes, are written out.

    The output has texts of other programs, such as their User-Agents, which could clear the screen. `keep`: characters
    that do not change.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode("ascii") for char in text
    )


def width(text: str) -> int:
    """How many columns the text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def pad(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))

"""A chart of a scenario as SVG: what the nodes see in each second, with this version and the version before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from .scenarios import Scenario
from .tally import HANDSHAKES, OWN_HANDSHAKES, PROBES, READINGS, REQUESTS, Tally

__all__ = ["Courses", "chart", "courses"]

Courses = Mapping[str, Mapping[str, Sequence[float]]]
"""A number for each second, by panel and line."""

_COLOURS = ("#c1553b", "#89b8d4")
_BEFORE = "#b9bec9"
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT = 372, 132, 52, 62, 16
_PANEL = _HEIGHT + 62


def courses(scenario: Scenario, tally: Tally) -> dict[str, dict[str, list[float]]]:
    """The curves of a run: means of the nodes that the scenario is about, and means of the other nodes."""
    others = [node for node in range(tally.nodes) if node not in scenario.focus]
    kinds = {
        "list readings": (READINGS,),
        "probes": (PROBES,),
        "handshakes": (HANDSHAKES, OWN_HANDSHAKES),
        "requests": (REQUESTS,),
    }
    return {
        panel: {
            f"{scenario.called}, mean": _added(tally.mean(kind, scenario.focus) for kind in of_panel),
            "other nodes, mean": _added(tally.mean(kind, others) for kind in of_panel),
        }
        for panel, of_panel in kinds.items()
    }


def _added(lines: Iterable[Sequence[float]]) -> list[float]:
    return [sum(values) for values in zip(*lines, strict=True)]


def chart(scenario: Scenario, now: Courses, before: Courses | None) -> str:
    """Four panels in two columns. `before`: the curves of the version before, which are drawn in grey."""
    lines: list[str] = []
    for number, (title, of_panel) in enumerate(now.items()):
        x, y = 14 + number % 2 * (_WIDTH + 14), _TOP + number // 2 * _PANEL
        lines += _panel(x, y, title, of_panel, {} if before is None else before.get(title, {}))
    height = _TOP + 2 * _PANEL - 10
    width = 2 * _WIDTH + 42
    style = (
        "<style>text{font:12px system-ui,sans-serif;fill:#222}.title{font-weight:600;font-size:13px}"
        ".head{font-weight:600;font-size:15px}.small{font-size:11px;fill:#555}</style>"
    )
    note = "for each node and second" + (f"; grey: {scenario.called}, before" if before is not None else "")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" aria-label="{escape(scenario.words)}">',
            style,
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            f'<text x="14" y="22" class="head">{escape(scenario.title)}</text>',
            f'<text x="14" y="39" class="small">{note}</text>',
            *lines,
            "</svg>\n",
        ]
    )


def _panel(
    x: int, y: int, title: str, now: Mapping[str, Sequence[float]], before: Mapping[str, Sequence[float]]
) -> list[str]:
    first = next(iter(now))
    past = before.get(first, ())
    top = _round_up(max([1.0, *(value for line in now.values() for value in line), *past]))
    seconds = len(now[first])
    left, right, floor = x + _LEFT, x + _WIDTH - _RIGHT, y + _HEIGHT
    lines = [f'<text x="{x}" y="{y}" class="title">{escape(title)}</text>']
    for part in (0.0, 0.5, 1.0):
        at = floor - part * (_HEIGHT - 18)
        lines.append(f'<line x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e4e6eb"/>')
        lines.append(
            f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end" class="small">{_short(part * top)}</text>'
        )
    for second in range(0, seconds + 1, _step(seconds)):
        at = left + (right - left) * second / seconds
        lines.append(f'<text x="{at:.1f}" y="{floor + 14}" text-anchor="middle" class="small">{second} s</text>')
    if past:
        lines.append(_line(past, left, right, floor, top, _BEFORE, 1.5))
    for colour, values in reversed(list(zip(_COLOURS, now.values(), strict=True))):
        lines.append(_line(values, left, right, floor, top, colour, 1.7))
    at_key = left
    for colour, name in zip(_COLOURS, now, strict=True):
        lines.append(f'<rect x="{at_key}" y="{floor + 22}" width="10" height="10" fill="{colour}"/>')
        lines.append(f'<text x="{at_key + 14}" y="{floor + 31}" class="small">{escape(name)}</text>')
        at_key += 150
    return lines


def _line(
    values: Sequence[float], left: float, right: float, floor: float, top: float, colour: str, width: float
) -> str:
    wide, high = (right - left) / len(values), _HEIGHT - 18
    points = " ".join(
        f"{left + (number + 0.5) * wide:.1f},{floor - high * min(value, top) / top:.1f}"
        for number, value in enumerate(values)
    )
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"/>'


def _round_up(value: float) -> float:
    size = 10.0 ** (len(str(int(value))) - 1)
    return next(step * size for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * size >= value)


def _step(seconds: int) -> int:
    return next(step for step in (2, 5, 10, 15, 20, 30) if seconds / step <= 8)


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"

"""Shows the figures as tables, with the limits and goals, and as a chart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from textwrap import wrap

from . import cold_start, tasks
from . import contenders as who
from .measure import SIZES, THREADS, Results
from .replicas import LOOK_UP

__all__ = ["chart", "tables"]

_MEANINGS = {
    "cpu": "The CPU time of the thread for one operation.",
    "wall": "The time from the call of an operation to its result, with the waiting for the nodes.",
}


def tables(results: Results) -> str:
    """All figures, as Markdown that is readable in a terminal, too."""
    parts = [
        _operations("CPU per operation, one thread (µs)", who.MODELS, results, "cpu"),
        _operations("Time per operation, one thread (µs)", who.MODELS, results, "wall"),
        _operations("CPU per operation, one thread (µs)", who.CLIENTS, results, "cpu"),
        _operations("Time per operation, one thread (µs)", who.CLIENTS, results, "wall"),
        *(_threads(results, count) for count in THREADS),
        _tasks(results),
        _nodes(results),
        _plans(results),
        _hops(results),
        _starts(results),
        _cold_starts(results),
        _bars(results),
        _ratios(results),
    ]
    return "\n\n".join(parts) + "\n"


def _table(title: str, caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def text(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if not n else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * width) if not n else ("-" * (width - 1) + ":") for n, width in enumerate(widths)]
    return "\n".join([f"### {title}", "", *wrap(caption, 120), "", text(lines[0]), text(rule), *map(text, lines[1:])])


def _number(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _operations(title: str, names: Sequence[str], results: Results, kind: str) -> str:
    """Each figure with its ratio to the first contender's."""
    face = "models" if names is who.MODELS else "clients"
    rows = []
    for name in names:
        cells = [name]
        for operation in who.OPERATIONS:
            figures = results.operations[operation]
            if name not in figures:
                cells.append("–")
                continue
            mine, first = getattr(figures[name], kind), getattr(figures[names[0]], kind)
            cells.append(_number(mine) + ("" if name == names[0] else f" ({mine / first:.2f})"))
        rows.append(cells)
    caption = (
        f"{_MEANINGS[kind]} Each figure has its ratio to the figure of the first line in brackets. "
        f"The operations are made by {face}, in one thread."
    )
    return _table(f"{title}: {face}", caption, ["", *who.OPERATIONS], rows)


def _threads(results: Results, count: int) -> str:
    rows = []
    for names in (who.MODELS, who.CLIENTS):
        first = results.threads[count][names[0]]
        for name in names:
            mine = results.threads[count][name]
            times, cpu = f"{first.wall / mine.wall:.1f}", f"{mine.cpu / first.cpu:.2f}"
            rows.append([name, f"{1e6 / mine.wall:,.0f}", times, _number(mine.cpu), cpu, f"{mine.p99 / 1e3:,.2f}"])
    head = ["", "requests/s", "× stock", "CPU of a request (µs)", "of stock", "p99 (ms)"]
    caption = (
        f"{count} threads of one process make gets at the same time. The columns *× stock* and *of stock* have the "
        "ratio to stock PynamoDB for models, and to stock botocore for clients. *p99* is the time within which 99 % of "
        "the answers came."
    )
    return _table(f"get, {count} threads", caption, head, rows)


def _tasks(results: Results) -> str:
    stock = results.tasks[tasks.STOCK]
    rows = []
    for name, by_count in results.tasks.items():
        cells = [
            _number(cpu) + ("" if name == tasks.STOCK else f" ({cpu / stock[count]:.2f})")
            for count, cpu in by_count.items()
        ]
        rows.append([name, *cells])
    head = ["", *(f"{count:,} task{'s' if count > 1 else ''}" for count in tasks.TASKS)]
    caption = (
        "Tasks of one event loop make gets at the same time. Each figure has its ratio to the figure of the first line "
        "in brackets."
    )
    return _table("get, tasks of an event loop: CPU of a request (µs)", caption, head, rows)


def _cold_starts(results: Results) -> str:
    stock = results.cold_starts[cold_start.STOCK]
    rows = [
        [f"first get: {kind}", f"{cpu * 1e3:.0f}", f"{cpu / stock:.2f}"] for kind, cpu in results.cold_starts.items()
    ]
    caption = "The CPU of a new process, from its start to the first answer of its model. *Stock* is PynamoDB alone."
    return _table("Cold start of a process", caption, ["", "CPU (ms)", "of stock"], rows)


def _bars(results: Results) -> str:
    rows = [
        [
            bar.words,
            f"≤ {bar.limit:g}{bar.unit}",
            f"{measured.value:.3f}{bar.unit}",
            "yes" if measured.value <= bar.limit else "NO",
        ]
        for bar, measured in results.bars
    ]
    caption = (
        "Each bar limits the ratio of our CPU to another contender's CPU, or a figure with its unit. Client and nodes "
        "share one core, and the minimum of all rounds counts."
    )
    return _table("Bars: limits for the CPU", caption, ["", "bar", "measured", "holds"], rows)


def _nodes(results: Results) -> str:
    rows = []
    for name, by_size in results.nodes.items():
        ratio = by_size[SIZES[-1]].cpu / by_size[SIZES[0]].cpu
        rows.append([f"{name}: get", *(_number(by_size[size].cpu) for size in SIZES), f"{ratio:.2f}"])
    for kind in ("affinity", "round robin"):
        cpu = [results.routing[f"{kind}, {size} nodes"] for size in SIZES]
        rows.append([f"routing alone: {kind}", *map(_number, cpu), f"{cpu[-1] / cpu[0]:.2f}"])
    head = ["", *(f"{size} nodes" for size in SIZES), f"{SIZES[-1]} of {SIZES[0]}"]
    caption = (
        "The CPU of a get, and of routing alone, on clusters of different sizes. The last column is the ratio of the "
        "largest cluster to the smallest."
    )
    return _table("CPU per operation, by the number of nodes (µs)", caption, head, rows)


def _plans(results: Results) -> str:
    rows = [[kind, f"{cpu:.2f}"] for kind, cpu in results.plans.items()]
    caption = (
        "The CPU for the query plan of a GetItem with token awareness and for its first node, by the size of the token "
        f"ring. *{LOOK_UP}* is only the look-up of the replicas, in the larger ring."
    )
    return _table("Token awareness: CPU of a query plan (µs)", caption, ["", "µs"], rows)


def _hops(results: Results) -> str:
    rows = [
        [f"hop of {hop * 1000:g} ms", f"{without * 1000:.2f}", f"{with_ * 1000:.2f}", f"{with_ / without:.2f}"]
        for hop, (without, with_) in results.hops.items()
    ]
    head = ["", "without (ms)", "with (ms)", "of without"]
    caption = (
        "The mean time of a read. A node that is not a replica needs one hop to a replica, which takes the time in the "
        "first column. The last column is the ratio of the two times."
    )
    return _table("Time of a read of one item, without token awareness and with it", caption, head, rows)


def _starts(results: Results) -> str:
    rows = []
    for name, by_models in results.starts.items():
        for models, (seconds, megabytes) in by_models.items():
            rows.append([f"{name}: {models}", f"{seconds:.3f}", f"{megabytes:.1f}"])
    caption = (
        "The time and the memory from the definition of this number of models to the first answer of each model, in a "
        "process that has imported the library."
    )
    return _table("Start of models", caption, ["", "seconds", "MB"], rows)


def ratios(results: Results) -> list[tuple[str, str, float, float, str]]:
    """The goals: name, sign, limit, measured value, unit."""
    threads = results.threads[THREADS[0]]
    few, many = min(results.starts[who.MODEL]), max(results.starts[who.MODEL])
    start = results.starts[who.MODEL]
    return [
        (
            f"{THREADS[0]} threads, models: throughput of stock's",
            "≥",
            3.5,
            threads[who.STOCK_MODEL].wall / threads[who.MODEL].wall,
            "",
        ),
        ("routing with affinity, 3 nodes", "≤", 8.0, results.routing["affinity, 3 nodes"], " µs"),
        ("routing with affinity, 300 nodes", "≤", 8.0, results.routing["affinity, 300 nodes"], " µs"),
        *(
            (f"plan with token awareness, {kind}", "≤", 8.0, results.plans[kind], " µs")
            for kind in results.plans
            if kind != LOOK_UP
        ),
        ("replicas of a token, 100,000 ranges", "≤", 1.0, results.plans[LOOK_UP], " µs"),
        (f"{many} models: time more than {few}", "≤", 0.1, start[many][0] - start[few][0], " s"),
        (f"{many} models: memory more than {few}", "≤", 20.0, start[many][1] - start[few][1], " MB"),
    ]


def _ratios(results: Results) -> str:
    rows = []
    for words, sign, limit, measured, unit in ratios(results):
        reached = measured <= limit if sign == "≤" else measured >= limit
        rows.append([words, f"{sign} {limit:g}{unit}", f"{measured:.2f}{unit}", "yes" if reached else "NO"])
    caption = "These goals are for other figures of the tables above."
    return _table("Other goals", caption, ["", "goal", "measured", "reached"], rows)


# ---- the chart ---------------------------------------------------------------------------------------------------

_COLOURS = {"stock": "#8d99ae", "other": "#c9a227", "ours": "#2a6f97", "floor": "#adb5bd"}


def _colour(name: str) -> str:
    if name.startswith("our"):
        return _COLOURS["ours"]
    if name in (who.HTTP_CLIENT, who.SOCKET):
        return _COLOURS["floor"]
    return _COLOURS["other"] if name in (who.ALTERNATOR, who.RUST_MODEL, tasks.RUST) else _COLOURS["stock"]


def _panels(results: Results) -> Iterator[tuple[str, str, dict[str, float]]]:
    """For each panel: its title, the name of our contender, and the µs of CPU of each contender."""
    models = [name for name in who.MODELS if name not in (who.MODEL_UNSIGNED, who.MODEL_COMPATIBLE)]
    clients = (who.STOCK_CLIENT, who.ALTERNATOR, who.CLIENT, who.HTTP_CLIENT, who.SOCKET)
    for operation, ours, names in (
        (who.GET, who.MODEL, models),
        (who.SAVE, who.MODEL, models),
        (who.UPDATE, who.MODEL, models),
        (who.BATCH_WRITE, who.MODEL, models),
        (who.PAGE_1000, who.MODEL, models),
        (who.GET, who.CLIENT, clients),
        (who.TLS, who.CLIENT, clients),
        (who.PAGE_1000, who.CLIENT, clients),
    ):
        figures = results.operations[operation]
        yield operation, ours, {name: figures[name].cpu for name in names if name in figures}
    for count in tasks.TASKS[:2]:
        title = f"get, {count} task{'s' if count > 1 else ''}"
        yield title, tasks.OURS, {name: by_count[count] for name, by_count in results.tasks.items()}


_BAR, _GAP, _LEFT, _WIDTH = 18, 6, 200, 380


def chart(results: Results) -> str:
    """An SVG with the CPU per operation as bars, and the ratio of our CPU to that of each contender."""
    lines: list[str] = []
    y = 34
    for title, ours, bars in _panels(results):
        lines.append(f'<text x="12" y="{y + 12}" class="title">{escape(title)}: µs of CPU</text>')
        y += 24
        for name, cpu in bars.items():
            long = max(1.0, cpu / max(bars.values()) * _WIDTH)
            words = _number(cpu) + ("" if name == ours else f" (ours: {bars[ours] / cpu:.2f} of it)")
            lines.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
            lines.append(f'<rect x="{_LEFT}" y="{y}" width="{long:.1f}" height="{_BAR}" fill="{_colour(name)}"/>')
            lines.append(f'<text x="{_LEFT + long + 6:.1f}" y="{y + 13}">{words}</text>')
            y += _BAR + _GAP
        y += 16
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 {y}" width="780" height="{y}" role="img" '
        'aria-label="CPU per operation of each contender, and how much of it ours takes">'
    )
    style = (
        "<style>text{font:13px system-ui,sans-serif;fill:#222}.title{font-weight:600;font-size:14px}"
        ".head{font-weight:600;font-size:16px}</style>"
    )
    return "\n".join(
        [
            head,
            style,
            f'<rect width="780" height="{y}" fill="#fff"/>',
            '<text x="12" y="24" class="head">The cost of an operation, signed, and how much of it ours takes</text>',
            *lines,
            "</svg>\n",
        ]
    )

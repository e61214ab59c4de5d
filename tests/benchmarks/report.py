"""The report of a benchmark, as Markdown and as an SVG chart."""

import os
import platform
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.benchmarks.latency import ORDERS_PER_S
from tests.benchmarks.peers import OURS, STREAMS
from tests.benchmarks.results import FIGURES, Benchmark, Comparison, Figure, PeerResults
from tests.benchmarks.throughput import STEADY

_NONE = "-"
_HOW = (
    f"Orders and CPU of the steady state: {STEADY[0]:.0%} to {STEADY[1]:.0%} of all orders, by the broker's append time.",
    (
        "Kafka Streams is 4.3.1, exactly_once_v2, two threads, with its commit interval; the loop is confluent-kafka with "
        "msgspec; naive Faust publishes without transactions and is not exactly-once."
    ),
    "Peers run in turn, each alone on the broker; medians of the rounds, with their range. CPU is user and system.",
    "Peak MB: the largest resident size of the process since its start; a former process registered the customers.",
    "With start-up: CPU s / 1,000 of everything since the process started. Broker CPU: of the broker, in steady state.",
    "First output: from the start of the process to the append of its first event.",
    f"Latency: from producing to being visible to a read_committed consumer, at {ORDERS_PER_S} orders/s after the load.",
    (
        "Back: from the start of a stopped process to the visible event of an order that waited for it; with the local "
        "files as they were, and with none."
    ),
)
_CHARTED = (0, 1, 4)
_WIDTH, _LABEL, _FIGURE, _BAR, _TITLE = 860, 190, 90, 18, 34


def describe_machine() -> str:
    """The properties of the machine that affect figures: processor, cores, memory, system and Python."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2] for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0].strip() if names else model
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GB, {system}, Python {platform.python_version()}"


def markdown(benchmark: Benchmark) -> str:
    """The whole report."""
    parts = ["# Benchmark", f"Machine, with the broker on it too: {benchmark.machine}."]
    parts += ["", *(f"- {note}" for note in (*_HOW, *benchmark.notes))]
    for comparison in benchmark.comparisons:
        parts += ["", f"## {comparison.workload.name}", "", *_throughput(comparison)]
        parts += ["", *_ratios(comparison), "", *_waiting(comparison)]
        faults = [
            f"- {results.peer.name}, round {number}: {', '.join(run.faults)}."
            for results in comparison.peers
            for number, run in enumerate(results.runs, 1)
            if run.faults
        ]
        parts += ["", *(faults or ["Every final sum was right, for every peer and in every round."])]
        parts.append("All exactly-once peers published the same events: ids, sequences and data.")
    for part in benchmark.parts:
        parts += ["", *part]
    return "\n".join(parts) + "\n"


class Bar(NamedTuple):
    """One bar of a chart: a median with its range. ours: drawn in colour. fair: included in the scale."""

    name: str
    low: float
    value: float
    high: float
    ours: bool
    fair: bool


def svg(benchmark: Benchmark) -> str:
    """Draw the medians as bars, with a thin line for the range. A bar that reaches the edge is longer than shown."""
    drawn: list[str] = []
    y = 10
    for comparison in benchmark.comparisons:
        y += _TITLE
        drawn.append(f'<text class="h" x="10" y="{y}">{escape(comparison.workload.name)}</text>')
        for figure in (FIGURES[number] for number in _CHARTED):
            bars = [_bar(results, figure) for results in comparison.peers]
            y = _chart(drawn, figure.title, figure.digits, bars, y + _TITLE)
        waits = [bar for results in comparison.peers for bar in _latency_bars(results)]
        if waits:
            y = _chart(
                drawn, f"ms to p50, and its line to p99, at {ORDERS_PER_S} orders/s", 1, waits, y + _TITLE
            )
    style = (
        "text{font:13px system-ui,sans-serif;fill:#222}.h{font-size:17px;font-weight:600}"
        ".t{font-weight:600}.o{fill:#0a7d6c}.p{fill:#9aa5b1}.r{stroke:#222}"
    )
    body = "\n".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 20}">\n<style>{style}</style>\n'
        f'<rect width="{_WIDTH}" height="{y + 20}" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _bar(results: PeerResults, figure: Figure) -> Bar:
    low, high = results.range(figure)
    peer = results.peer
    return Bar(peer.name, low, results.median(figure), high, peer is OURS, peer.exactly_once)


def _latency_bars(results: PeerResults) -> list[Bar]:
    peer, took = results.peer, results.orders
    if took is None:
        return []
    return [Bar(peer.name, took.p50, took.p50, took.p99, peer is OURS, peer.exactly_once)]


def _chart(drawn: list[str], title: str, digits: int, bars: Sequence[Bar], y: int) -> int:
    """Draw one chart below y. Returns the y at its end."""
    drawn.append(f'<text class="t" x="10" y="{y}">{escape(title)}</text>')
    width = _WIDTH - _LABEL - _FIGURE
    longest = max([bar.high for bar in bars if bar.fair] or [bar.high for bar in bars])
    for bar in bars:
        y += _BAR + 6
        low, value, high = (min(width, part / longest * width) for part in (bar.low, bar.value, bar.high))
        kind = "o" if bar.ours else "p"
        drawn += [
            f'<text x="10" y="{y}">{escape(bar.name)}</text>',
            f'<rect class="{kind}" x="{_LABEL}" y="{y - 14}" width="{value:.1f}" height="{_BAR}"/>',
            f'<path class="r" d="M{_LABEL + low:.1f} {y - 5}H{_LABEL + high:.1f}"/>',
            f'<text x="{_LABEL + high + 8:.1f}" y="{y}">{bar.value:,.{digits}f}</text>',
        ]
    return y


def _throughput(comparison: Comparison) -> list[str]:
    rows = []
    for results in comparison.peers:
        fewer = results.workload.orders != comparison.workload.orders
        name = results.peer.name + (f" ({results.workload.orders:,} orders)" if fewer else "")
        rows.append([name, *medians(results, FIGURES)])
    return table(["median (range)", *(figure.title for figure in FIGURES)], rows)


def _ratios(comparison: Comparison) -> list[str]:
    rows = []
    for results in comparison.peers:
        ratios = [comparison.ratio(figure, results) for figure in FIGURES]
        if results.peer is not OURS and None not in ratios:
            rows.append([results.peer.name, *(f"{ratio:.2f}" for ratio in ratios if ratio is not None)])
    if not rows:
        return []
    if any(results.peer in STREAMS for results in comparison.peers):
        rows.append(["goal against Kafka Streams", *(figure.goal or _NONE for figure in FIGURES)])
    return table(["this worker by …", *(figure.title for figure in FIGURES)], rows)


def _waiting(comparison: Comparison) -> list[str]:
    rows = [_waits(results) for results in comparison.peers if results.orders or results.restarts]
    if not rows:
        return []
    titles = [
        "latency p50, ms",
        "p99, ms",
        "POST to 201 p50, ms",
        "p99, ms",
        "back with files, s",
        "with none, s",
    ]
    return table(["of the last round", *titles], rows)


def _waits(results: PeerResults) -> list[str]:
    cells = [results.peer.name]
    for latency in (results.orders, results.posts):
        cells += [_NONE, _NONE] if latency is None else [f"{latency.p50:.1f}", f"{latency.p99:.1f}"]
    restarts = results.restarts
    return cells + (
        [_NONE, _NONE] if restarts is None else [f"{restarts.intact_s:.1f}", f"{restarts.deleted_s:.1f}"]
    )


def medians(results: PeerResults, figures: Sequence[Figure]) -> list[str]:
    """The median of each figure, with its range if there is more than one value."""
    cells = []
    for figure in figures:
        low, high = (f"{value:,.{figure.digits}f}" for value in results.range(figure))
        spread = f" ({low} to {high})" if low != high else ""
        cells.append(f"{results.median(figure):,.{figure.digits}f}{spread}")
    return cells


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table. All columns except the first are aligned right."""
    rule = ["---", *["---:"] * (len(titles) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows)]

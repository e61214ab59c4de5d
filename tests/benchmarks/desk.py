"""The desk beside a stream of orders: a customer's page, the board with viewers, and `explain` on the console.

Rules:
- One customer has ten orders and one has many. Their pages are asked for in turn at an even pace, while orders of other
  customers flow. A page's time begins when it was due. A separate process produces the orders.
- The board's cost is the worker's CPU with ten viewers less that without any, while no orders flow.
- The console's start is that of `--version`. The time of `explain` is what it takes beyond it.

Usage: python -m tests.benchmarks.desk [--orders N] [--orders-per-s N] [--seconds S]; exit 1 when a mark is missed.
"""

import asyncio
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Annotated, NamedTuple

import aiohttp
import typer

from tests.benchmarks import peers
from tests.benchmarks.kafka import BROKER_PROPERTIES, Ends, Loader, Site
from tests.benchmarks.latency import percentile
from tests.benchmarks.measured import MeasuredProcess
from tests.benchmarks.mixed import CUSTOMERS, committed, produce
from tests.benchmarks.orders import Expected, Order, Workload, customer_id, make_order
from tests.benchmarks.report import describe_machine, table
from tests.benchmarks.runner import command, progress_bar, show
from tests.benchmarks.throughput import Progress, register, start, until_worked_off
from worker.broker import EmbeddedKafka
from worker.broker.ports import free_port

PAGE_MARK_MS, BOARD_MARK, EXPLAIN_MARK_MS = 50.0, 0.01, 100.0
VIEWERS = 10

_FEW_ORDERS = 10
_FEW, _MANY = CUSTOMERS, CUSTOMERS + 1  # besides those whose orders flow
_FIRST_NUMBER = 0x40000000  # above the numbers of the flowing orders
_PAGES_PER_S = 20
_WARM_UP_S = 3.0
_IDLE_S = 20.0
_CONSOLE_RUNS = 7


class Measured(NamedTuple):
    """The figures.

    Attributes:
        orders_per_s: what the worker committed while pages were asked for.
        few: the seconds of each page of the customer with few orders.
        many: the same of the customer with many.
        board_cores: CPU seconds of the worker a second, for all viewers.
        explain_s: seconds beyond the console's start.
    """

    orders_per_s: float
    few: list[float]
    many: list[float]
    board_cores: float
    explain_s: float


def measure(orders: int, orders_per_s: int, seconds: float, told: Progress) -> Measured:
    """Measure one worker on its own broker. orders: of the customer with many."""
    with (
        tempfile.TemporaryDirectory(prefix="customer-context-desk-") as name,
        EmbeddedKafka(Path(name) / "kafka", properties=BROKER_PROPERTIES) as broker,
    ):
        site, port = Site(broker.bootstrap, "desk."), free_port()
        url = f"http://127.0.0.1:{port}"
        site.create_topics()
        with start(peers.OURS, site, Path(name) / "run" / "state", broker.pid, port) as process:
            register(peers.OURS, site, Workload(0, CUSTOMERS + 2), process, told)
            _give_histories(site, orders, process, told)
            told("orders and pages", 0, 1)
            before, began = committed(url, site.catalogue.orders.name), time.monotonic()
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
                producing = other.submit(produce, site, url, orders_per_s, seconds)
                few, many = asyncio.run(_pages(url, seconds))
                producing.result()
            flowed = (committed(url, site.catalogue.orders.name) - before) / (time.monotonic() - began)
            told("board", 0, 1)
            board = asyncio.run(_board_cores(url, process))
            told("explain", 0, 1)
            explain = _explain_s(url)
            process.check()
    return Measured(flowed, few, many, board, explain)


def _give_histories(site: Site, orders: int, process: MeasuredProcess, told: Progress) -> None:
    before, expected = Ends(site.bootstrap, site.catalogue.events.name).offsets(), Expected()
    Loader(site).orders(_histories(orders), expected)
    until_worked_off(peers.OURS, site, expected, process, before, told)


def _histories(orders: int) -> Iterator[Order]:
    for number in range(orders):
        yield make_order(_FIRST_NUMBER + number, _MANY, 2_000)
    for number in range(_FEW_ORDERS):
        yield make_order(_FIRST_NUMBER + orders + number, _FEW, 2_000)


async def _pages(url: str, seconds: float) -> tuple[list[float], list[float]]:
    """The seconds of each page, of the customer with few orders and of that with many, without the warm-up."""

    async def one(session: aiohttp.ClientSession, customer: int, due: float) -> float:
        await asyncio.sleep(due - time.monotonic())
        async with session.get(f"{url}/desk/customers/{customer_id(customer)}") as answer:
            await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"a page was answered with {answer.status}")
        return time.monotonic() - due

    async with aiohttp.ClientSession() as session:
        began, count = time.monotonic(), int(_PAGES_PER_S * seconds)
        asked = [one(session, (_FEW, _MANY)[n % 2], began + n / _PAGES_PER_S) for n in range(count)]
        took = (await asyncio.gather(*asked))[int(_PAGES_PER_S * _WARM_UP_S) & ~1 :]
    return took[::2], took[1::2]


async def _board_cores(url: str, process: MeasuredProcess) -> float:
    """What ten viewers cost, in CPU seconds of the worker a second."""
    alone = await _cores(process)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        viewers = [asyncio.create_task(_view(session, url)) for _ in range(VIEWERS)]
        await asyncio.sleep(_WARM_UP_S)
        viewed = await _cores(process)
        for viewer in viewers:
            viewer.cancel()
        for ended in await asyncio.gather(*viewers, return_exceptions=True):
            if not isinstance(ended, asyncio.CancelledError):
                raise RuntimeError(f"a viewer's stream ended: {ended!r}")
    return viewed - alone


async def _view(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(f"{url}/desk/live") as answer:
        async for _ in answer.content.iter_any():
            pass


async def _cores(process: MeasuredProcess) -> float:
    began, (cpu, _) = time.time(), process.cpu_at(time.time())
    await asyncio.sleep(_IDLE_S)
    return (process.cpu_at(time.time())[0] - cpu) / (time.time() - began)


def _explain_s(url: str) -> float:
    """The median time of `explain`, less that of the console's start."""
    runs: dict[str, list[float]] = {"start": [], "explain": []}
    for _ in range(_CONSOLE_RUNS):
        runs["start"].append(_took("--version"))
        runs["explain"].append(_took("explain", customer_id(_MANY), "--url", url))
    return median(runs["explain"]) - median(runs["start"])


def _took(*arguments: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "worker.cli", *arguments], check=True, capture_output=True)
    return time.monotonic() - began


def _rows(measured: Measured) -> list[list[str]]:
    few, many = percentile(measured.few, 0.99) * 1000, percentile(measured.many, 0.99) * 1000
    board, explain = measured.board_cores, measured.explain_s * 1000
    return [
        _row(
            "page of a customer with ten orders, p99",
            f"{few:.1f} ms",
            f"{PAGE_MARK_MS:.0f} ms",
            few <= PAGE_MARK_MS,
        ),
        _row("page of one with many, p99", f"{many:.1f} ms", f"{PAGE_MARK_MS:.0f} ms", many <= PAGE_MARK_MS),
        _row(
            f"board with {VIEWERS} viewers", f"{board:.2%} of a core", f"{BOARD_MARK:.0%}", board < BOARD_MARK
        ),
        _row(
            "explain, beyond the console's start",
            f"{explain:.0f} ms",
            f"{EXPLAIN_MARK_MS:.0f} ms",
            explain <= EXPLAIN_MARK_MS,
        ),
    ]


def _row(what: str, figure: str, mark: str, met: bool) -> list[str]:
    return [what, figure, mark, "yes" if met else "NO"]


def main(
    orders: Annotated[int, typer.Option(help="Orders of the customer with many.")] = 100_000,
    orders_per_s: Annotated[int, typer.Option(help="Orders of others meanwhile.")] = 5_000,
    seconds: Annotated[float, typer.Option(help="How long they flow.")] = 30.0,
) -> None:
    """Measure the desk of one worker; the report goes to build/bench/desk.md."""
    with progress_bar() as told:
        measured = measure(orders, orders_per_s, seconds, told)
    rows = _rows(measured)
    show(
        "desk",
        [
            f"## The desk, with {orders:,} orders of one customer",
            "",
            f"{describe_machine()}. The worker committed {measured.orders_per_s:,.0f} orders/s meanwhile.",
            "",
            *table(["what", "figure", "mark", "met"], rows),
        ],
    )
    raise typer.Exit(1 if any(row[-1] == "NO" for row in rows) else 0)


if __name__ == "__main__":
    command(main)

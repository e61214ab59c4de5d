"""What the demo shows: progress, the table, addresses, and events as they come."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.status import Status
from rich.table import Table

from worker.cli.event_lines import pretty
from worker.demo.tally import Tally


class DemoView:
    """began: time.monotonic() when the command started."""

    def __init__(self, console: Console, began: float) -> None:
        self._console = console
        self._began = began

    def say(self, sentence: str) -> None:
        """Print one sentence."""
        self._console.print(sentence, markup=False)

    @contextmanager
    def busy(self, what: str) -> Iterator[Status]:
        """Say what is being done, with a spinner on a terminal."""
        if not self._console.is_terminal:
            self.say(f"{what} ...")
        with self._console.status(what) as status:
            yield status

    @contextmanager
    def progress(self, tally: Tally) -> Iterator[Callable[[], None]]:
        """Bars for the sample; yields what to call when the tally has grown."""
        columns = (
            TextColumn("{task.description:<21}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as progress:
            customers = progress.add_task("customers registered", total=len(tally.missing_customers))
            orders = progress.add_task("orders processed", total=len(tally.missing_orders))

            def update() -> None:
                progress.update(customers, completed=tally.customers)
                progress.update(orders, completed=tally.orders)

            yield update

    def table(self, tally: Tally, seconds: float | None) -> None:
        """The figures. seconds: how long the sample took; None when an earlier run loaded it."""
        table = Table(title="What the worker published for the sample", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        table.add_row("customers", f"{tally.customers:,}")
        table.add_row("orders", f"{tally.orders:,}")
        table.add_row("spending", f"{tally.spending:,.2f} USD")
        table.add_row("points earned", f"{tally.points:,}")
        for level, count in tally.levels.items():
            table.add_row(f"level {level}", f"{count:,}")
        table.add_row("VIPs", f"{tally.vips:,}")
        table.add_row("events", f"{tally.events:,}")
        if tally.repeated:
            table.add_row("[red]events published twice", f"[red]{tally.repeated:,}")
        table.add_row(
            "time for the sample", "loaded by an earlier run" if seconds is None else f"{seconds:.1f} s"
        )
        table.add_row("time since the start", f"{time.monotonic() - self._began:.1f} s")
        self._console.print(table)

    def addresses(self, url: str, data_dir: Path) -> None:
        """Where the API is, and where logs and data are."""
        self._console.print(f"API             {url}/api/v1/customers", markup=False)
        self._console.print(f"documentation   {url}/docs", markup=False)
        self._console.print(f"worker's log    {data_dir / 'worker.log'}", markup=False)

    def event(self, value: bytes) -> None:
        """One published event."""
        self._console.print(pretty(value))

"""`customer-context demo`: a real Kafka, the worker, the sample of real purchases, then live traffic."""

import asyncio
import random
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from aiokafka import AIOKafkaProducer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from worker.broker import EmbeddedCluster, EmbeddedKafka, ensure_jars, running_bootstrap
from worker.broker.cluster import MOST_NODES
from worker.broker.ports import free_port, is_free
from worker.cli.context import catalogue_of, env_file_of, repository_of, settings_of
from worker.cli.errors import CommandFailed
from worker.cli.event_lines import pretty
from worker.cli.output import Screen
from worker.cli.running import run
from worker.cli.topics import all_topics
from worker.demo.live import LiveTraffic
from worker.demo.loading import SampleLoader, SampleNotLoaded
from worker.demo.purchases import read_purchases
from worker.demo.stories import VIP, chapters
from worker.demo.tally import Tally
from worker.kafka.admin import ensure_topics
from worker.kafka.producer import producing
from worker.kafka.reader import TopicReader, reading
from worker.processes.crew import crew
from worker.processes.supervisor import Pace
from worker.settings import PREFIX, ConfigurationError, Settings

_LEVELS = ("STANDARD", "SILVER", "GOLD", "PLATINUM")
_LIVE_EVERY_S = 1.0
_PACE = Pace(most_ends=6)
_LOG_LINES_SHOWN = 12


def register(app: typer.Typer) -> None:
    """Add `demo` to the console script."""
    app.command("demo", epilog="Example: customer-context demo --once")(demo)


def demo(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Exit after the table, without live traffic.")] = False,
    nodes: Annotated[
        int,
        typer.Option(
            min=1,
            max=MOST_NODES,
            help="How many Kafka nodes to start. Each number of nodes has its own data.",
        ),
    ] = 1,
    processes: Annotated[
        str,
        typer.Option(metavar="N", help="How many processes the worker has; auto: one for each core."),
    ] = "auto",
) -> None:
    """Start Kafka and the worker, load real purchases, print the result, and continue with live traffic.

    The first demo registers 2,357 customers and replays their 6,919 purchases. It then tells the stories of a few more, so
    that each page of the desk has something to show. All data stays in DATA_DIR, so the next
    demo only reads it back. Ctrl-C ends all of it.
    """
    settings = settings_of(context, processes=processes)
    if not settings.embedded:
        raise ConfigurationError(
            f"`demo` starts its own Kafka; unset {PREFIX}BOOTSTRAP_SERVERS, or use `worker`."
        )
    console = Screen()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits it ignored
    signal.signal(signal.SIGTERM, _like_ctrl_c)
    try:
        _Demo(settings, env_file_of(context), console, once=once, nodes=nodes).run()
    except KeyboardInterrupt:
        console.say(f"Stopped. The data stays in {settings.data_dir}; the next demo goes on with it.")
    except SampleNotLoaded as error:
        raise CommandFailed(str(error)) from error


class _Demo:
    """One run of the demo, from the jars to the last live event."""

    def __init__(
        self, settings: Settings, env_file: Path | None, console: Screen, *, once: bool, nodes: int
    ) -> None:
        self._settings = settings
        self._env_file = env_file
        self._console = console
        self._once = once
        self._nodes = nodes
        self._began = time.monotonic()
        self._topics = catalogue_of(settings)
        self._purchases = read_purchases()
        self._tally = Tally(self._purchases)

    def run(self) -> None:
        settings = self._settings.model_copy(update={"web_port": _web_port(self._settings)})
        with self._kafka() as bootstrap:
            self._console.print(f"Apache Kafka answers on {bootstrap}")
            run(self._with_worker(bootstrap, settings))

    @contextmanager
    def _kafka(self) -> Iterator[str]:
        folder = self._settings.kafka_dir
        if running := running_bootstrap(folder):
            yield running
            return
        columns = (TextColumn("Fetching Kafka, once"), BarColumn(), DownloadColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task("", visible=False)
            ensure_jars(
                lambda done, total: progress.update(task, completed=done, total=total, visible=True),
                repository=repository_of(self._settings),
            )
        kafka = EmbeddedKafka(folder) if self._nodes == 1 else EmbeddedCluster(folder, self._nodes)
        with self._console.status("Starting Apache Kafka"):
            kafka.start()
        try:
            yield kafka.bootstrap
        finally:
            kafka.stop()

    async def _with_worker(self, bootstrap: str, settings: Settings) -> None:
        """Show the demo while the worker runs. settings: with the port to use. Raises CommandFailed."""
        given = {
            "BOOTSTRAP_SERVERS": bootstrap,
            "WEB_PORT": str(settings.web_port),
            "DATA_DIR": str(settings.data_dir.absolute()),
        }
        log_path = settings.data_dir / "worker.log"

        def on_end(_number: int, code: int, _pause_s: float) -> None:
            self._console.print(
                f"The worker ended ({code}) and is started again; see {log_path}.", style="yellow"
            )

        with log_path.open("wb", buffering=0) as log:
            async with crew(settings, given, self._env_file, log.write, on_end, _PACE) as (
                supervisor,
                url,
            ):
                worker = asyncio.create_task(supervisor.run())
                show = asyncio.create_task(self._show(bootstrap, url))
                try:
                    await asyncio.wait({worker, show}, return_when=asyncio.FIRST_COMPLETED)
                    if worker.done():
                        raise CommandFailed(_gave_up(worker.result(), log_path))
                    show.result()
                finally:
                    show.cancel()
                    supervisor.stop()
                    await asyncio.gather(worker, show, return_exceptions=True)

    async def _show(self, bootstrap: str, url: str) -> None:
        client = self._settings.kafka_client(bootstrap)
        await ensure_topics(client, all_topics(self._topics), self._settings.replication_factor)
        outputs = [self._topics.events.name, self._topics.results.name]
        partitions = range(self._topics.partitions)
        async with (
            reading(client, outputs, partitions, from_beginning=True) as reader,
            producing(client) as producer,
        ):
            await self._load(reader, producer)
            if self._settings.desk:
                self._console.say(f"Desk           {url}/desk, where you may search for {VIP}")
            self._console.say(f"API            {url}/api/v1/customers/customer-0001")
            self._console.say(f"Documentation  {url}/docs")
            self._console.say(f"Console        {_program()} --help, in another terminal in this folder")
            if not self._once:
                await self._go_on(reader, producer)

    async def _load(self, reader: TopicReader, producer: AIOKafkaProducer) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        tally = self._tally
        with Progress(*columns, console=self._console, transient=True) as progress:
            customers = progress.add_task("Customers registered", total=len(tally.missing_customers))
            orders = progress.add_task("Purchases counted", total=len(tally.missing_orders))

            def on_progress() -> None:
                progress.update(customers, completed=tally.customers)
                progress.update(orders, completed=tally.orders)

            told = chapters(self._topics)
            loader = SampleLoader(self._topics, reader, tally, self._purchases, on_progress, told)
            await loader.catch_up()
            loaded_before = tally.complete
            await loader.load(producer)
        self._console.print(_table(tally, time.monotonic() - self._began, loaded_before=loaded_before))

    async def _go_on(self, reader: TopicReader, producer: AIOKafkaProducer) -> None:
        self._console.print("Live traffic follows, one action a second; Ctrl-C ends everything.", style="dim")
        async with asyncio.TaskGroup() as both:
            both.create_task(self._act(producer))
            both.create_task(self._print_events(reader))

    async def _act(self, producer: AIOKafkaProducer) -> None:
        traffic = LiveTraffic(self._topics, random.Random())  # noqa: S311 - sample data, nothing secret
        while True:
            for topic, message in traffic.next():
                await producer.send_and_wait(topic.name, message.value, key=message.key)
            await asyncio.sleep(_LIVE_EVERY_S)

    async def _print_events(self, reader: TopicReader) -> None:
        async for records in reader.follow():
            for record in records:
                if record.topic == self._topics.events.name:
                    self._print_event(record.value)

    def _print_event(self, value: bytes) -> None:
        whole = not self._console.is_terminal  # on a terminal one line an event, cut at its edge
        self._console.print(pretty(value, with_day=False), soft_wrap=whole, no_wrap=True, overflow="ellipsis")


def _like_ctrl_c(_signal: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


def _program() -> str:
    """The console script as it was called, or its name where it was called in another way."""
    name = "customer-context"
    return sys.argv[0] if Path(sys.argv[0]).name == name else name


def _web_port(settings: Settings) -> int:
    """The configured port; any free one where none is configured and the default is taken."""
    if settings.web_port and all(map(is_free, settings.ports)):
        return settings.web_port
    if settings.web_port and "web_port" in settings.model_fields_set:
        taken = next(port for port in settings.ports if not is_free(port))
        raise CommandFailed(f"Port {taken} is in use; set {PREFIX}WEB_PORT to another, or to 0.")
    return free_port(above=settings.processes)


def _gave_up(code: int, log_path: Path) -> str:
    """The sentence about a worker that ended for good, and the last lines of its log. code: its exit code."""
    with log_path.open(errors="replace") as log:
        last = deque(log, _LOG_LINES_SHOWN)
    return f"The worker ended with exit code {code}.\nThe end of {log_path}:\n{''.join(last).rstrip()}"


def _table(tally: Tally, seconds: float, *, loaded_before: bool) -> Table:
    """What came of the sample. seconds: since the demo began. loaded_before: by an earlier demo."""
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_row("Customers", f"{tally.customers:,}")
    table.add_row("Orders", f"{tally.orders:,}")
    table.add_row("Spending", f"{tally.spending:,.2f} USD")
    table.add_row("Points earned", f"{tally.points:,}")
    for level in _LEVELS:
        table.add_row(f"{level.capitalize()} members", f"{tally.levels[level]:,}")
    table.add_row("VIPs", f"{tally.vips:,}")
    table.add_row("Events published", f"{tally.events:,}")
    if tally.repeated:
        table.add_row("Events published twice", f"{tally.repeated:,}", style="red")
    table.add_row("Time taken", f"{seconds:.1f} s{', loaded by an earlier demo' if loaded_before else ''}")
    return table

"""`customer-context demo`: a real Kafka, the worker, the purchases of the sample, and live traffic until Ctrl-C."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer
from rich.console import Console

from worker.admin import ensure_topics
from worker.broker.ports import free_port, is_free
from worker.cli.context import catalogue_of, env_file_of, kafka_of, settings_of
from worker.cli.demo_view import DemoView
from worker.cli.errors import CommandFailed
from worker.cli.topics import TABLES
from worker.demo.child import WorkerGaveUp, WorkerProcess
from worker.demo.live import LiveTraffic
from worker.demo.loading import SampleLoader, SampleNotLoaded
from worker.demo.purchases import read_purchases
from worker.demo.tally import Tally
from worker.producing import producing
from worker.settings import PREFIX, ConfigurationError, Settings
from worker.topic_reader import TopicReader, reading

_SECONDS_BETWEEN_ACTIONS = 1.0


def register(app: typer.Typer) -> None:
    app.command("demo", epilog="Example: customer-context demo")(demo)


def demo(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="End after the table, without live traffic.")] = False,
) -> None:
    """Show the worker at work on a Kafka of its own: real purchases first, then live traffic until Ctrl-C.

    Everything is kept in DATA_DIR, so a second run goes on where the first one ended and counts nothing twice.
    """
    began = time.monotonic()
    settings = settings_of(context)
    if not settings.embedded:
        raise ConfigurationError(f"The demo brings its own Kafka: unset {PREFIX}BOOTSTRAP_SERVERS.")
    view = DemoView(Console(highlight=False), began)
    arguments = [] if env_file_of(context) is None else ["--env-file", str(env_file_of(context))]
    try:
        with (
            view.busy("Starting Kafka (the first start downloads it)") as status,
            kafka_of(settings) as bootstrap,
        ):
            status.stop()
            asyncio.run(_Demo(settings, bootstrap, view, arguments).run(once=once))
    except (KeyboardInterrupt, asyncio.CancelledError):
        view.say("Stopped. Everything is kept for the next run.")
    except (SampleNotLoaded, WorkerGaveUp) as error:
        raise CommandFailed(str(error)) from error


class _Demo:
    """One run on a Kafka that answers."""

    def __init__(self, settings: Settings, bootstrap: str, view: DemoView, arguments: list[str]) -> None:
        self._settings = settings
        self._client = settings.kafka_client(bootstrap)
        self._view = view
        self._catalogue = catalogue_of(settings)
        self._port = _web_port(settings)
        worker_settings = {"BOOTSTRAP_SERVERS": bootstrap, "WEB_PORT": str(self._port)}
        self._worker = WorkerProcess(worker_settings, arguments, settings.data_dir / "worker.log")

    async def run(self, *, once: bool) -> None:
        """Play everything while the worker runs; the worker is stopped however this ends."""
        this = asyncio.current_task()
        if this is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
        await ensure_topics(self._client, self._catalogue.all(TABLES), self._settings.replication_factor)
        tasks = {asyncio.create_task(self._worker.supervise()), asyncio.create_task(self._play(once=once))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            with self._view.busy("Stopping the worker"):
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _play(self, *, once: bool) -> None:
        async with self._published() as reader:
            await self._sample(reader)
            self._view.addresses(self._settings.public_url(self._port), self._settings.data_dir)
            if not once:
                self._view.say("Live traffic; Ctrl-C ends everything.")
                traffic = asyncio.create_task(self._live())
                try:
                    await self._show(reader)
                finally:
                    traffic.cancel()
                    await asyncio.gather(traffic, return_exceptions=True)

    @asynccontextmanager
    async def _published(self) -> AsyncIterator[TopicReader]:
        names = [self._catalogue.events.name, self._catalogue.results.name]
        partitions = range(self._catalogue.partitions)
        async with reading(self._client, names, partitions, from_beginning=True) as reader:
            yield reader

    async def _sample(self, reader: TopicReader) -> None:
        purchases = read_purchases()
        tally = Tally(purchases)
        with self._view.progress(tally) as on_progress:
            loader = SampleLoader(self._catalogue, reader, tally, purchases, on_progress)
            await loader.catch_up()
            new = not tally.complete
            if new and await reader.is_cut(self._catalogue.events.name):
                self._view.say(
                    "The first events are past their retention, so the sample is not counted again."
                )
                return
            began = time.monotonic()
            if new:
                async with producing(self._client) as producer:
                    await loader.load(producer)
        self._view.table(tally, time.monotonic() - began if new else None)

    async def _live(self) -> None:
        traffic = LiveTraffic(self._catalogue, random.Random())  # noqa: S311 - invented shoppers, not secrets
        async with producing(self._client) as producer:
            while True:
                for topic, message in traffic.next().messages:
                    await producer.send_and_wait(topic.name, message.value, key=message.key)
                await asyncio.sleep(_SECONDS_BETWEEN_ACTIONS)

    async def _show(self, reader: TopicReader) -> None:
        async for records in reader.follow():
            for record in records:
                if record.value is not None and record.topic == self._catalogue.events.name:
                    self._view.event(record.value)


def _web_port(settings: Settings) -> int:
    """The configured port, or a free one where it is taken: the worker keeps it when it is started again."""
    return settings.web_port if settings.web_port and is_free(settings.web_port) else free_port()

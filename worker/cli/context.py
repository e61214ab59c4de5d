"""What every command starts from: the settings, and where Kafka is."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from worker.broker import EmbeddedKafka, running_bootstrap
from worker.cli.errors import CommandFailed
from worker.logs import configure_logging
from worker.settings import PREFIX, Settings, load_settings
from worker.topics import Catalogue

stderr = Console(stderr=True, highlight=False)
"""Where progress and sentences go; standard output is for results."""


def settings_of(context: typer.Context) -> Settings:
    """The checked settings, with logging set up by them. Raises ConfigurationError."""
    settings = load_settings(env_file_of(context))
    configure_logging(settings.log_format, settings.log_level, sys.stderr)
    return settings


def env_file_of(context: typer.Context) -> Path | None:
    """The file given by --env-file."""
    env_file: Path | None = context.obj
    return env_file


def bootstrap_of(settings: Settings) -> str:
    """The configured Kafka, else the embedded one that runs on DATA_DIR. Raises CommandFailed when none does."""
    if settings.bootstrap_servers:
        return settings.bootstrap_servers
    running = running_bootstrap(settings.kafka_dir)
    if running is None:
        raise CommandFailed(
            f"No embedded Kafka runs on {settings.data_dir}: start one with `customer-context broker`, `worker` or "
            f"`demo`, or set {PREFIX}BOOTSTRAP_SERVERS."
        )
    return running


@contextmanager
def kafka_of(settings: Settings) -> Iterator[str]:
    """The configured Kafka, else the embedded one of DATA_DIR, which is started when none runs and then ends with us.

    Raises BrokerError.
    """
    bootstrap = settings.bootstrap_servers or running_bootstrap(settings.kafka_dir)
    if bootstrap:
        yield bootstrap
        return
    with EmbeddedKafka(settings.kafka_dir) as kafka:
        yield kafka.bootstrap


def catalogue_of(settings: Settings) -> Catalogue:
    """The topics as these settings name and shape them."""
    return settings.catalogue()

"""The context of every command: its settings and the address of Kafka."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from worker.broker import EmbeddedKafka, Repository, running_bootstrap
from worker.cli.errors import CommandFailed
from worker.kafka.topics import Catalogue
from worker.observability.logs import configure_logging
from worker.settings import PREFIX, Settings, load_settings


def settings_of(context: typer.Context, **given: Any) -> Settings:
    """The checked settings, with logging set up by them. Raises ConfigurationError.

    given: settings by name. They override the environment.
    """
    settings = load_settings(env_file_of(context), **given)
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
    with EmbeddedKafka(settings.kafka_dir, repository=repository_of(settings)) as kafka:
        yield kafka.bootstrap


def repository_of(settings: Settings) -> Repository:
    """The Maven repository from which the embedded Kafka's jars are fetched."""
    mirror = settings.kafka_mirror
    return Repository(None if mirror is None else mirror.get_secret_value())


def catalogue_of(settings: Settings) -> Catalogue:
    """The catalogue of topics for these settings."""
    return settings.catalogue()

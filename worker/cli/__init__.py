"""The console script `customer-context`.

Rules:
- Results go to standard output, everything else to standard error.
- Exit codes: 0 done, 1 it failed (a rejected command too), 2 wrong usage or settings. `worker` ends with the engine's
  own codes when it ended itself.
- An expected failure is one sentence, never a traceback.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaError

from worker.admin import TopicError
from worker.broker import BrokerError
from worker.cli import broker, dead_letters, demo, doctor, events, send, topics, verify, worker
from worker.cli.context import stderr
from worker.cli.errors import CommandFailed
from worker.logs import safe_text
from worker.settings import ConfigurationError
from worker.topic_reader import NoSuchTopic

FAILED, WRONG_USAGE = 1, 2

app = typer.Typer(
    name="customer-context",
    help="Customers, reward points and membership levels, kept exactly once from Kafka topics.",
    epilog="Settings are environment variables with the prefix CUSTOMER_CONTEXT_, or a file of them (--env-file).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def customer_context(
    context: typer.Context,
    env_file: Annotated[
        Path | None,
        typer.Option(
            "--env-file", metavar="FILE", help="Read settings from this file too; the environment wins."
        ),
    ] = None,
) -> None:
    context.obj = env_file


for module in (demo, worker, broker, topics, send, events, dead_letters, verify, doctor):
    module.register(app)


def main() -> None:
    """Run the command of sys.argv; the entry point of the console script."""
    try:
        app()
    except ConfigurationError as error:
        _say(str(error))
        sys.exit(WRONG_USAGE)
    except (CommandFailed, BrokerError, TopicError, NoSuchTopic) as error:
        _say(str(error))
        sys.exit(FAILED)
    except KafkaError as error:
        _say(
            f"Kafka cannot be reached or refused: {safe_text(error)}; `customer-context doctor` looks for the cause."
        )
        sys.exit(FAILED)


def _say(sentence: str) -> None:
    stderr.print(sentence, style="red", markup=False, soft_wrap=True)

"""Replacements and extensions of methods of Faust, mode, aiokafka, aiohttp and email-validator.

Rules:
- worker.engine.patches.table lists every such method, its reason and its guard.
- Importing changes no library. The composition root calls `install` in a worker, or `install_clients` in a program
  beside it. Either may be called again.
- Subclasses that are handed to a library, such as EngineApp, are here too, because they depend on its private parts.
"""

from collections.abc import Callable
from typing import Any

from worker.engine.patches import builders, connections, emails, fetches, frames, messages, producer


def install(answer: Callable[..., Any]) -> None:
    """Patch the libraries that a worker uses.

    Args:
        answer: makes the answer to bytes that are not HTTP.

    Raises:
        guard.UnknownVersion: an installed library is not the proven one. Nothing is patched then.
    """
    from worker.engine.patches import assignor, guard, http_server, tasks  # Faust takes a second to import

    guard.check()
    install_clients()
    assignor.install()
    http_server.install(answer)
    tasks.install()


def install_clients() -> None:
    """Patch what programs beside the worker use: Kafka's clients and the check of emails."""
    builders.install()
    connections.install()
    emails.install()
    fetches.install()
    frames.install()
    messages.install()
    producer.install()

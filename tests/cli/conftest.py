"""What tests of the console share."""

import sys
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logging_apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that runs in the tests' process leaves its logging alone; one in a process of its own configures it.

    What a server beside it logs does not get into its output.
    """
    monkeypatch.setattr("worker.cli.context.configure_logging", lambda *_: None)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    yield
    structlog.reset_defaults()

"""The composition root: settings in, a running worker out. Only the console imports it."""

from worker.app.run import run

__all__ = ["run"]

"""The API over the in-memory world, as in tests/api."""

from tests.api.conftest import serve, world

__all__ = ["serve", "world"]

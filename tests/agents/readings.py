"""Counts where long values are read: on the thread of the event loop, or beside it."""

import threading
from collections.abc import Callable

import pytest

from agents import commands, letters, order_index, purchases
from tables import waiting_index

LONG_BYTES = 2_000


class Readings:
    """Counts how often a long value was read on the thread of the event loop, and on others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on_the_loop = self.beside_it = 0
        self._loop = threading.get_ident()
        for module in (commands, purchases, order_index, waiting_index, letters):
            for name in (
                "decode_command",
                "decode_order",
                "decode_payment",
                "decode_return",
                "value_contains_card_number",
            ):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, self._counting(getattr(module, name)))

    def _counting(self, read: Callable[..., object]) -> Callable[..., object]:
        def count(value: bytes, *more: object, **named: object) -> object:
            if len(value) >= LONG_BYTES:
                self.on_the_loop += threading.get_ident() == self._loop
                self.beside_it += threading.get_ident() != self._loop
            return read(value, *more, **named)

        return count

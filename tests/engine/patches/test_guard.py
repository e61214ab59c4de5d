"""The engine refuses to run on a Faust or aiokafka that it was not proved on."""

import pytest
from faust.transport.consumer import Consumer

from worker.engine.patches import guard


def test_what_is_installed_is_what_the_engine_was_written_against():
    guard.check()


def test_another_version_is_refused_by_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(guard.VERSIONS, "aiokafka", "0.13.0")
    with pytest.raises(guard.UnknownVersion, match=r"aiokafka .* exactly 0\.13\.0"):
        guard.check()


def test_a_patched_method_of_the_same_version_is_refused_by_name(monkeypatch: pytest.MonkeyPatch):
    def ack(self: object, message: object) -> bool:
        return True

    monkeypatch.setattr(Consumer, "ack", ack)
    with pytest.raises(guard.UnknownVersion, match=r"Consumer\.ack"):
        guard.check()

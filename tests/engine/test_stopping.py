"""SIGTERM ends the process within its time, whatever threads and libraries do."""

import signal
import time
from pathlib import Path

import pytest

from tests.engine.toy_run import make_topics, start_toy
from tests.supervised import look_after_until
from worker.engine.exits import ExitCode

_ENDS_WITHIN_S = 4.0  # twice as long as a loop that ends by itself needs on a crowded machine
_MACHINE_S = 4.0  # of 60 s for which it would hang

HANGS = {
    "a thread after the end": 0,
    "a library holds the loop": ExitCode.SHUTDOWN_DEADLINE,
    "closing raises": ExitCode.BATCH_FAILED,  # the loop ends, and cancels what is still processed
}


def _told_to_stop(kafka: str, folder: Path, hang: str) -> tuple[int, float, str]:
    app_id = make_topics(kafka)
    toy = start_toy(app_id, kafka, folder, "toy", TOY_HANG=hang, TOY_ENDS_WITHIN_S=str(_ENDS_WITHIN_S))
    try:
        assert look_after_until([toy], lambda: "processing" in toy.log, 40.0), toy.end_of_log
        told_at = time.monotonic()
        toy.signal(signal.SIGTERM)
        code = toy.wait(60.0)
        return code, time.monotonic() - told_at, toy.end_of_log
    finally:
        toy.end()


@pytest.mark.parametrize("hang", HANGS)
def test_a_process_that_was_told_to_stop_is_gone_in_time(kafka: str, tmp_path: Path, hang: str):
    code, seconds, log = _told_to_stop(kafka, tmp_path, hang)
    assert code == HANGS[hang], log
    assert seconds < _ENDS_WITHIN_S + _MACHINE_S


def test_a_worker_stops_that_was_told_so_before_it_started(kafka: str, tmp_path: Path):
    toy = start_toy(make_topics(kafka), kafka, tmp_path, "toy", TOY_TOLD="yes")
    try:
        assert toy.wait(60.0) == 0, toy.end_of_log
    finally:
        toy.end()

"""Ctrl-C ends a coroutine that only waits, also when the event loop's own wait is not interrupted by the signal.

A signal handled by another thread stands for one that comes just before the loop begins to wait: in both cases Python
knows of it and the loop sleeps on.
"""

import asyncio
import signal
import subprocess
import sys

import pytest

from worker.cli.running import run

_WAITS = """
import asyncio, signal, sys, threading, time
from {module} import run
signal.signal(signal.SIGINT, signal.default_int_handler)

def interrupt():
    time.sleep(0.3)  # until the loop waits
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    time.sleep(60)

async def wait():
    threading.Thread(target=interrupt, daemon=True).start()
    await asyncio.get_running_loop().create_future()

run(wait())
"""


def _interrupted(module: str, patience_s: float) -> int:
    program = [sys.executable, "-c", _WAITS.format(module=module)]
    return subprocess.run(program, capture_output=True, timeout=patience_s).returncode


def test_ctrl_c_ends_a_wait_that_no_signal_interrupts():
    assert _interrupted("worker.cli.running", 20) == -signal.SIGINT


def test_asyncio_alone_sleeps_on():
    with pytest.raises(subprocess.TimeoutExpired):
        _interrupted("asyncio", 2)


def test_the_result_is_handed_on_and_nothing_is_left_behind():
    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    assert run(answer()) == 7
    assert signal.set_wakeup_fd(-1) == -1

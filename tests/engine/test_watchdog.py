"""The watchdog ends a process whose event loop is held, whatever holds it, and no other."""

import signal
import subprocess
import sys
import time

import pytest

from worker.engine.exits import ExitCode

_PROGRAM = """
import asyncio, re, threading, time
from worker.engine.store import MemoryStore
from worker.engine.unit import InputRecord, Unit
from worker.engine.watchdog import HAND, Watchdog

unit = Unit(3, MemoryStore())
unit.at = InputRecord("order.completed", 3, 17, 0, b"secret-key", b"secret-value", ())

async def main():
    {watch}
    await asyncio.sleep(0.3)
    print("before", flush=True)
    with HAND.on(unit):
        {hold}
    await asyncio.sleep(0.2)
    print("after", flush=True)

asyncio.run(main())
{shutdown}
"""
_WATCH = "Watchdog({deadline_s}).watch(asyncio.get_running_loop())"
_IN_C = 're.fullmatch(r"(a+)+", "a" * 30 + "b")'
_FAULTHANDLER = 1


def start(
    hold: str = "pass", shutdown: str = "", watch: str = _WATCH, deadline_s: float = 0.8
) -> subprocess.Popen[str]:
    program = _PROGRAM.format(watch=watch.format(deadline_s=deadline_s), hold=hold, shutdown=shutdown)
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out + err


def test_a_loop_that_turns_is_left_alone():
    code, said = end(start("await asyncio.sleep(2.0)"))
    assert (code, "after" in said) == (0, True)


@pytest.mark.parametrize("hold", ["time.sleep(20)", "while True: pass"], ids=["system call", "Python"])
def test_a_held_loop_ends_the_process_and_the_input_at_hand_is_named(hold: str):
    code, said = end(start(hold))
    assert code == ExitCode.DEADLINE
    assert all(part in said for part in ("worker ends", "order.completed", "17"))
    assert "secret" not in said


def test_code_in_c_that_keeps_the_interpreters_lock_ends_the_process_too():
    code, said = end(start(_IN_C))
    assert code == _FAULTHANDLER
    assert "Timeout" in said
    assert "secret" not in said


def test_without_the_watchdog_a_held_loop_goes_on():
    code, said = end(start("time.sleep(2.0)", watch="pass"))
    assert (code, "after" in said) == (0, True)


def test_a_process_that_was_stopped_for_a_while_and_wakes_goes_on():
    process = start("await asyncio.sleep(3.0)", deadline_s=1.0)
    assert process.stdout is not None
    assert process.stdout.readline() == "before\n"
    for _ in range(2):  # together longer than the deadline
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.9)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
    code, said = end(process)
    assert (code, "after" in said) == (0, True)


def test_a_shutdown_that_hangs_after_the_loop_ends_too():
    code, said = end(start(shutdown="threading.Thread(target=time.sleep, args=(20,)).start()"))
    assert code == ExitCode.SHUTDOWN_DEADLINE
    assert "after" in said

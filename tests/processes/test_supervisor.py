"""The supervisor with real processes: small programs that end, hang, write and are killed."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from worker.engine.exits import ExitCode
from worker.processes.supervisor import LASTING, Child, Pace, Supervisor, labelled

WITHIN_S = 30.0
QUICK = Pace(first_pause_s=0.01, longest_pause_s=0.04)
WAITS = "import os, sys; print('pid', os.getpid(), flush=True); sys.stdin.read()"
HEARS_NOTHING = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITS
ENDS_WHEN_TOLD = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); " + WAITS


class Run:
    """A supervisor that runs, and what it has told. lines: of all processes; ends: (number, code, pause)."""

    def __init__(self, *programs: str, pace: Pace = QUICK) -> None:
        self.lines: list[bytes] = []
        self.ends: list[tuple[int, int, float]] = []
        self._changed = asyncio.Event()
        children = [
            Child(number, (sys.executable, "-c", program), dict(os.environ))
            for number, program in enumerate(programs)
        ]
        self.supervisor = Supervisor(children, self._write, self._ended, pace)
        self._running = asyncio.create_task(self.supervisor.run())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds, which is looked at whenever the supervisor tells something."""
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def code(self) -> int:
        """The exit code, once all have ended."""
        async with asyncio.timeout(WITHIN_S):
            return await self._running

    async def stopped(self) -> int:
        """Tell it to stop. Returns the exit code."""
        self.supervisor.stop()
        return await self.code()

    def pids(self, number: int) -> list[int]:
        """The process ids of all lives of a process so far."""
        prefix = b"process=%d pid " % number
        return [int(line.removeprefix(prefix)) for line in self.lines if line.startswith(prefix)]

    def _write(self, line: bytes) -> None:
        self.lines.append(line)
        self._changed.set()

    def _ended(self, number: int, code: int, pause_s: float) -> None:
        self.ends.append((number, code, pause_s))
        self._changed.set()


async def test_a_process_that_was_killed_is_started_again_and_the_other_goes_on():
    run = Run(WAITS, WAITS)
    await run.until(lambda: bool(run.pids(0) and run.pids(1)))
    os.kill(run.pids(1)[0], signal.SIGKILL)
    await run.until(lambda: len(run.pids(1)) == 2)
    assert run.ends == [(1, -signal.SIGKILL, 0.01)]
    assert await run.stopped() == 0
    assert len(run.pids(0)) == 1
    assert not any(map(exists, [*run.pids(0), *run.pids(1)]))


async def test_the_pause_before_a_start_grows_up_to_its_limit():
    run = Run("raise SystemExit(70)", WAITS)
    await run.until(lambda: len(run.ends) >= 5)
    await run.stopped()
    assert run.ends[:5] == [(0, 70, pause) for pause in (0.01, 0.02, 0.04, 0.04, 0.04)]


async def test_after_a_calm_time_the_pause_is_the_first_one_again():
    run = Run("raise SystemExit(70)", pace=QUICK._replace(calm_s=-1.0, most_ends=2))
    await run.until(lambda: len(run.ends) >= 3)
    await run.stopped()
    assert run.ends[:3] == [(0, 70, 0.01)] * 3


@pytest.mark.parametrize("code", sorted(LASTING))
async def test_an_exit_code_that_a_restart_cannot_mend_ends_all_with_it(code: ExitCode):
    run = Run(f"raise SystemExit({int(code)})", WAITS)
    assert await run.code() == code
    assert run.ends == []
    assert not any(map(exists, run.pids(1)))


async def test_a_process_that_ends_too_often_ends_all():
    run = Run("raise SystemExit(70)", WAITS, pace=QUICK._replace(most_ends=3))
    assert await run.code() == 70
    assert len(run.ends) == 2


async def test_all_are_told_to_stop_and_end_cleanly():
    run = Run(ENDS_WHEN_TOLD, ENDS_WHEN_TOLD)
    await run.until(lambda: bool(run.pids(0) and run.pids(1)))
    assert await run.stopped() == 0


async def test_a_process_that_does_not_stop_in_time_is_killed_and_the_code_says_so():
    run = Run(HEARS_NOTHING, ENDS_WHEN_TOLD, pace=Pace(ends_within_s=0.2))
    await run.until(lambda: bool(run.pids(0) and run.pids(1)))
    assert await run.stopped() == ExitCode.SHUTDOWN_DEADLINE
    assert not exists(run.pids(0)[0])


async def test_a_supervisor_that_is_told_to_stop_at_once_starts_nothing():
    run = Run(WAITS)
    assert await run.stopped() == 0
    assert run.lines == []


SUPERVISOR = """
import asyncio, os, sys
from worker.processes.supervisor import Child, Supervisor

async def main(held, program):
    children = [Child(n, (sys.executable, "-c", program), dict(os.environ), [held]) for n in (0, 1)]
    await Supervisor(children, lambda line: os.write(1, line), print).run()

asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
"""


def test_no_process_outlives_a_supervisor_that_was_killed():
    ours, held = os.pipe()
    with os.fdopen(ours, "rb") as left:
        command = [sys.executable, "-c", SUPERVISOR, str(held), WAITS]
        with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[held]) as killed:
            os.close(held)
            assert killed.stdout is not None
            assert sorted(killed.stdout.readline()[:14] for _ in range(2)) == [
                b"process=0 pid ",
                b"process=1 pid ",
            ]
            assert select.select([left], [], [], 0.0)[0] == []  # the control: they hold the pipe
            killed.kill()
        assert select.select([left], [], [], WITHIN_S)[0]
        assert left.read() == b""  # the end: nobody holds it any more


async def test_lines_stay_whole_whatever_their_processes_write_at_once():
    text = "x" * 60_000  # more than a pipe takes in one piece
    program = f"import sys\nfor n in range(20): sys.stderr.write('{text} %d\\n' % n)\n" + WAITS
    run = Run(program, program)
    await run.until(lambda: bool(run.pids(0) and run.pids(1)))
    await run.stopped()
    for number in (0, 1):
        prefix = b"process=%d x" % number
        mine = [line for line in run.lines if line.startswith(prefix)]
        assert mine == [f"process={number} {text} {n}\n".encode() for n in range(20)]


async def test_a_line_that_is_too_long_is_written_in_pieces_and_the_last_one_may_lack_its_end():
    program = "print('x' * 12_000); print('last', end='', flush=True)"
    run = Run(program, pace=Pace(most_ends=1, most_line_bytes=4_000))
    await run.code()
    assert b"".join(run.lines).count(b"x") == 12_000
    assert all(line.endswith(b"\n") for line in run.lines)
    assert run.lines[-1] == b"last\n"


async def test_a_process_whose_lines_cannot_be_written_goes_on():
    lost = []

    def full(line: bytes) -> None:
        lost.append(line)
        raise OSError(28, "No space left on device")

    child = Child(0, (sys.executable, "-c", "for n in range(50_000): print('x' * 20)"), dict(os.environ))
    supervisor = Supervisor([child], full, lambda *_: None, Pace(most_ends=1))
    async with asyncio.timeout(WITHIN_S):
        assert await supervisor.run() == 0
    assert len(lost) == 50_000


def test_a_line_of_json_stays_json():
    line = labelled(3, b'{"event": "worker starts"}\n')
    assert json.loads(line) == {"process": 3, "event": "worker starts"}
    assert labelled(3, b"Timeout (0:00:15)!\n") == b"process=3 Timeout (0:00:15)!\n"


def exists(pid: int) -> bool:
    """Whether a process of ours, or its zombie, is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

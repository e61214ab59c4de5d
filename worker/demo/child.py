"""The worker as a child process of the demo.

Rules:
- It ends with the demo, however the demo ends: its standard input is a pipe that only the demo holds.
- It gets no Ctrl-C of its own: the demo ends it with SIGTERM, before the broker, and waits.
- A worker that dies is started again, with a longer pause each time. One that keeps dying is given up.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from worker.settings import PREFIX

_STOP_WITHIN_S = 15.0
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 8.0
_STARTS = 6
_CALM_S = 60.0  # after so long a life, a death is not the next of a series
_LOG_LINES_SHOWN = 12


class WorkerGaveUp(Exception):
    """The worker died again and again; the text has the end of its log."""


class WorkerProcess:
    """The child process.

    Args:
        settings: by their names without prefix; they override those of this process.
        global_options: options of the console script.
        log_path: the file for its output.
        on_death: called with the exit code before each new start (negative: the signal).
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        global_options: Sequence[str],
        log_path: Path,
        on_death: Callable[[int], None],
    ) -> None:
        self._environment = os.environ | {PREFIX + name: value for name, value in settings.items()}
        self._command = [
            sys.executable,
            "-P",
            "-m",
            "worker.cli",
            *global_options,
            "worker",
            "--stop-with-stdin",
        ]
        self._log_path = log_path
        self._on_death = on_death
        self._process: Process | None = None

    async def supervise(self) -> None:
        """Keep the worker running until this is cancelled, then stop it. Raises WorkerGaveUp."""
        self._log_path.write_bytes(b"")
        loop, wait_s, starts = asyncio.get_running_loop(), _FIRST_WAIT_S, 0
        try:
            while starts < _STARTS:
                began = loop.time()
                code = await self._run_once()
                if loop.time() - began > _CALM_S:
                    wait_s, starts = _FIRST_WAIT_S, 0
                starts += 1
                self._on_death(code)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        finally:
            await self._stop()
        raise WorkerGaveUp(
            f"The worker ended {starts} times, the last time with exit code {code}.\n{self.end_of_log()}"
        )

    def end_of_log(self) -> str:
        """The last lines that the worker wrote."""
        lines = self._log_path.read_text(errors="replace").splitlines() if self._log_path.exists() else []
        return "\n".join([f"The end of {self._log_path}:", *lines[-_LOG_LINES_SHOWN:]])

    async def _run_once(self) -> int:
        with self._log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        return await self._process.wait()

    async def _stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _STOP_WITHIN_S)
            except TimeoutError:
                process.kill()
                await process.wait()

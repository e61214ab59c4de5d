"""A worker that has to end ends, also when nobody reads what it writes."""

import subprocess
import sys

import pytest

from worker.engine.exits import ExitCode

_WITHIN_S = 30.0
_BEGIN = (
    "import sys; sys.stdin.readline(); sys.stdout = open(1, 'w'); print('unread'); "  # buffered in any environment
    "from worker.observability.logs import configure_logging as log; log(); "
)
_DIES = "from worker.engine.exits import *; die(ExitCode.BATCH_FAILED, 'test')"
_LEAVES = "from worker.engine.exits import *; leave('test')"
_IS_DEAF = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "from worker.cli.worker import _stop_when_stdin_ends as stop; stop(0.01)"
)


@pytest.mark.parametrize(
    ("program", "code"),
    [
        pytest.param(_DIES, ExitCode.BATCH_FAILED, id="die"),
        pytest.param(_LEAVES, 0, id="leave"),
        pytest.param(
            _IS_DEAF, ExitCode.SHUTDOWN_DEADLINE, id="its supervisor has gone, and it hears no signal"
        ),
    ],
)
def test_a_process_ends_although_nobody_reads_its_output(program: str, code: int):
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", _BEGIN + program], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    for stream in (process.stdout, process.stderr, process.stdin):
        assert stream is not None
        stream.close()
    assert process.wait(_WITHIN_S) == code

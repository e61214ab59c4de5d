"""Supervisor: a program that ends its one child process when the process that started it ends. It is run by its path.

Rules:
- The child is stopped as soon as standard input ends or the parent process is gone. A parent that is killed with
  kill -9 runs no handler. But its end closes the pipe and changes our parent process id, on Linux and macOS alike.
- Both this program and the child hold the lock that they inherit. So the folder stays locked while one of them runs, and
  is free once both have ended.
- It uses the standard library only and imports nothing of this project, so that it starts in a few milliseconds.

It prints the child's process id, and ends with the child's exit code.
Arguments: lock's file descriptor, log file, pid of the parent, seconds of grace, the child's command line.
"""

import os
import select
import signal
import subprocess
import sys
import threading

_LOOK_EVERY_S = 0.1


def main(lock: int, log_path: str, parent_pid: int, grace_s: float, command: list[str]) -> int:
    """Run the command until it ends or must end. Returns its exit code (negative: the signal)."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    with open(log_path, "ab") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[lock])
    try:
        print(child.pid, flush=True)
        while child.poll() is None and not stopping.is_set() and not _must_stop(parent_pid):
            pass
    finally:  # also when the parent is gone already, and nobody reads what we print
        _stop(child, grace_s)
    return child.returncode


def _must_stop(parent_pid: int) -> bool:
    ended, _, _ = select.select([0], [], [], _LOOK_EVERY_S)
    return bool(ended) or os.getppid() != parent_pid


def _stop(child: "subprocess.Popen[bytes]", grace_s: float) -> None:
    child.terminate()  # does nothing to a child that has ended
    try:
        child.wait(grace_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5:]))

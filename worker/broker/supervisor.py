"""Keeps one child process no longer than the process that asked for it. A program, run by its path.

Rules:
- The child is stopped as soon as standard input ends or the parent is gone, however the parent went: a
  kill -9 runs no handler, but it closes the pipe and changes our parent process, on Linux and macOS alike.
- Both this program and the child hold the lock that they inherit. So the folder stays locked while either
  lives, and is free the moment both are gone; nothing is left to clean up.
- Standard library only and no import of this project, so that it is up in a few milliseconds.

Prints the child's process id. Exits when the child has, with its code.
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

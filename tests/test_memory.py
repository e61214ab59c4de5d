import ctypes
import platform
import subprocess
import sys

import pytest

from worker.app.memory import share_one_heap

_HEAPS_OF_FOUR_THREADS = """
import ctypes, sys, threading
from worker.app.memory import share_one_heap

if sys.argv[1] == "shared":
    share_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
all_there = threading.Barrier(5)

def allocate():
    libc.malloc(100_000)
    all_there.wait()
    all_there.wait()

for _ in range(4):
    threading.Thread(target=allocate).start()
all_there.wait()
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
all_there.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has several heaps")
@pytest.mark.parametrize(("how", "heaps"), [("shared", 1), ("as it is", 5)])
def test_threads_share_one_heap(how: str, heaps: int):
    done = subprocess.run(
        [sys.executable, "-c", _HEAPS_OF_FOUR_THREADS, how],
        capture_output=True,
        text=True,
        check=True,
        env={},  # in which heaps may be limited, too
    )
    assert done.stdout.count("<heap nr=") == heaps


def test_elsewhere_nothing_is_asked_of_the_c_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    share_one_heap()

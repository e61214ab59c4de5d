import ctypes
import platform
import subprocess
import sys

import pytest

from worker.app.memory import give_back, share_one_heap

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

_HOLES_BELOW_WHAT_STAYS = """
import ctypes, sys
from worker.app.memory import give_back

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
before = resident()
holes = [libc.malloc(10_000) for _ in range(6_000)]
for hole in holes:
    ctypes.memset(hole, 1, 10_000)
libc.malloc(10_000)
for hole in holes:
    libc.free(ctypes.c_void_p(hole))
if sys.argv[1] == "given back":
    give_back()
print((resident() - before) >> 20)
"""

only_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc has several heaps, and is asked to give back"
)


@only_glibc
@pytest.mark.parametrize(("how", "heaps"), [("shared", 1), ("as it is", 5)])
def test_threads_share_one_heap(how: str, heaps: int):
    assert _printed(_HEAPS_OF_FOUR_THREADS, how).count("<heap nr=") == heaps


@only_glibc
@pytest.mark.parametrize(("how", "least", "most"), [("given back", 0, 10), ("as it is", 50, 70)])
def test_what_is_free_below_what_stays_is_given_back(how: str, least: int, most: int):
    assert least <= int(_printed(_HOLES_BELOW_WHAT_STAYS, how)) <= most


def test_elsewhere_nothing_is_asked_of_the_c_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    share_one_heap()
    give_back()


def _printed(program: str, how: str) -> str:
    """By a process of its own, without our environment, which may set malloc's options."""
    done = subprocess.run(
        [sys.executable, "-c", program, how], capture_output=True, text=True, check=True, env={}
    )
    return done.stdout

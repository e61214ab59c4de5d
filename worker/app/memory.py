"""How this process holds memory: one heap, and little work for the garbage collector."""

import ctypes
import gc

_M_ARENA_MAX = -8  # of glibc's malloc.h


def share_one_heap() -> None:
    """Let all threads take from one heap; call it before there are others.

    glibc would give each thread one of its own, and what Kafka's records leave free in one is of no use to the others:
    266 MB fell to 245 at the same CPU an order. Other C libraries have one heap anyway.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Give free pages of that heap back to the system: 2 to 5 ms, in which no thread can take any.

    Buffers that come and go, most of all RocksDB's, leave holes between what stays. A worker under load soon takes
    most of it again; but without this its heap went on growing through the half hour of a soak.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def quieten_gc() -> None:
    """What was imported stays; a batch makes few cycles. Saves a quarter of the CPU (DESIGN, section 9)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)

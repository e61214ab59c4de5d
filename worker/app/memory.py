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


def quieten_gc() -> None:
    """What was imported stays; a batch makes few cycles. Saves a quarter of the CPU (DESIGN, section 9)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)

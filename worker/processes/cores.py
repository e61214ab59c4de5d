"""How many processor cores this process may use."""

import os
from pathlib import Path

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def cores(cpu_max: Path = _CPU_MAX) -> int:
    """The number of cores, at least 1: those of the CPU affinity, limited by the quota of a container.

    cpu_max: the file of cgroup v2 with the quota and its period in microseconds. Without it there is no quota.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = cpu_max.read_text().split()
        return max(1, min(usable, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or the quota is "max"
        return usable

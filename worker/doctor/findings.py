"""One thing that was looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """ok; warning: works, but differs from what the worker was made for; fault: will not work, or loses something."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """area: configuration, rules, disk, web, java, broker, topics, clock or redis. advice: empty when all is well."""

    area: str
    level: Level
    what: str
    advice: str = ""


def ok(area: str, what: str) -> Finding:
    return Finding(area, Level.OK, what)


def warning(area: str, what: str, advice: str) -> Finding:
    return Finding(area, Level.WARNING, what, advice)


def fault(area: str, what: str, advice: str) -> Finding:
    return Finding(area, Level.FAULT, what, advice)

"""The result of one check of the doctor."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """ok; warning: works, but differs from what is recommended; fault: does not work, or may lose data."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        area: configuration, rules, python, disk, web, native, java, broker, topics, clock, redis, application, inputs,
            positions, lag or dead letters.
        level: how bad it is.
        what: a sentence that states what is so.
        advice: a sentence that says what to do; empty when the level is ok.
    """

    area: str
    level: Level
    what: str
    advice: str = ""


def ok(area: str, what: str) -> Finding:
    """A finding without a problem, and so without advice."""
    return Finding(area, Level.OK, what)


def warning(area: str, what: str, advice: str) -> Finding:
    """A finding that does not make `doctor` exit with 1."""
    return Finding(area, Level.WARNING, what, advice)


def fault(area: str, what: str, advice: str) -> Finding:
    """A finding that makes `doctor` exit with 1."""
    return Finding(area, Level.FAULT, what, advice)

"""Logs: one stream of structured lines on standard error, ours and those of every library.

Rules:
- Personal data stays out of the log. The caller keeps the main rule: it passes no record key or value, no name and no
  address to a logger. This module is the second line of defence. It masks fields with a known sensitive name. It shows
  bytes as their length, and an object that is no plain value as the name of its class.
- An exception is shown by its type and stack, and by its text only if we wrote that text. Texts of other libraries may
  contain the value that caused the error.
- Libraries log from `warning` on, or from `info` on when our own level is `debug`.
- A state that passes by itself is no error. A Kafka that has just started has no coordinator of the group yet: this is
  one `info`, and an error only if it lasts.
- A library may repeat a line, as aiokafka does hundreds of times a second while Kafka is away. Such a line is written
  every 5 s, with the number of its repetitions.
"""

import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import PurePath
from traceback import extract_tb
from types import TracebackType
from typing import Any, Literal, TextIO
from uuid import UUID

import structlog
from aiokafka.errors import GroupCoordinatorNotAvailableError
from pydantic import ValidationError
from structlog.typing import EventDict, Processor, WrappedLogger

OWN_PACKAGES = ("worker", "tables", "agents", "api")
MASK = "[redacted]"
SENSITIVE_FIELDS = frozenset(  # without underscores and dashes, in lower case
    [
        "address",
        "addresses",
        "authorization",
        "birthdate",
        "body",
        "city",
        "cookie",
        "customername",
        "data",
        "email",
        "emails",
        "headers",
        "input",
        "json",
        "key",
        "keys",
        "label",
        "name",
        "newemail",
        "newname",
        "newphone",
        "params",
        "password",
        "payload",
        "phone",
        "query",
        "record",
        "records",
        "secret",
        "street",
        "token",
        "value",
        "values",
        "zip",
        "zipcode",
    ]
)

_MAX_CAUSES = 5
_PASSES_WITHIN_S = 10.0
_REPEATED_WITHIN_S = 5.0
_MAX_KNOWN_LINES = 1_000


def configure_logging(
    log_format: Literal["console", "json"] | None = None, level: str = "info", stream: TextIO = sys.stderr
) -> None:
    """Send every log line of this process to the stream; called once, before anything logs.

    log_format: None means console on a terminal, else json. level: debug, info, warning or error, for our own packages.
    """
    as_json = log_format == "json" or (log_format is None and not stream.isatty())
    shared = _shared_processors(as_json)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    # It must come before the next filter, which replaces an error by its text.
    handler.addFilter(NoCoordinatorYet(getattr(logging, level.upper())))
    handler.addFilter(_without_values)
    handler.addFilter(Repeated())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(as_json, stream),
            ],
        )
    )
    _set_levels(handler, getattr(logging, level.upper()))
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def safe_text(error: BaseException) -> str:
    """The loggable text of an exception: its type, and its text if that cannot contain a foreign value."""
    kind = type(error).__name__
    said = _own_words(error)
    return f"{kind}: {said}" if said else kind


class NoCoordinatorYet(logging.Filter):
    """Filters aiokafka's errors about a missing coordinator, which it logs several times a second.

    The first error becomes an `info`, and those of the next 10 s are dropped. If it lasts, one error is written every
    10 s. level: the lowest level of our own packages. clock: seconds, as of time.monotonic.
    """

    def __init__(self, level: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._level = level
        self._clock = clock
        self._last = self._said = -_PASSES_WITHIN_S

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written. The first error of a series is changed to `info`."""
        if not (
            isinstance(record.args, tuple)
            and any(isinstance(argument, GroupCoordinatorNotAvailableError) for argument in record.args)
        ):
            return True
        now = self._clock()
        begins, self._last = now - self._last >= _PASSES_WITHIN_S, now
        if not begins and now - self._said < _PASSES_WITHIN_S:
            return False
        self._said = now
        if begins:
            if self._level > logging.INFO:
                return False
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.args = "Kafka has no coordinator for the group yet; it is asked again", ()
        return True


class Repeated(logging.Filter):
    """Drops a library's line that was written less than 5 s ago; the next such line tells how many were dropped.

    Lines are the same only if every word is the same. A line with a traceback is always written. clock: seconds, as of
    time.monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, int, str], float] = {}
        self._left_out: Counter[tuple[str, int, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written. It adds the number of dropped repetitions to the text."""
        if record.name.partition(".")[0] in OWN_PACKAGES or record.exc_info:
            return True
        text, now = record.getMessage(), self._clock()
        line = record.name, record.levelno, text
        if now - self._said.get(line, -_REPEATED_WITHIN_S) < _REPEATED_WITHIN_S:
            self._left_out[line] += 1
            return False
        if len(self._said) >= _MAX_KNOWN_LINES:
            self._said.clear()
            self._left_out.clear()
        self._said[line] = now
        if times := self._left_out.pop(line, 0):
            record.msg, record.args = f"{text} (and {times} times since it was last written)", ()
        return True


def _own_words(error: BaseException) -> str:
    if type(error).__module__.partition(".")[0] in OWN_PACKAGES:
        return str(error)
    if isinstance(error, ValidationError):
        return ", ".join(sorted({str(details["type"]) for details in error.errors(include_input=False)}))
    if isinstance(error, OSError):
        return error.strerror or ""
    description = getattr(type(error), "description", "")  # Kafka's errors: a sentence of the class
    return description if isinstance(description, str) else ""


def _shared_processors(as_json: bool) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _masked,
        _with_exception_as_data if as_json else _with_exception_as_text,
    ]


def _renderer(as_json: bool, stream: TextIO) -> Processor:
    if as_json:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0)


def _set_levels(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO if level == logging.DEBUG else logging.WARNING)
    for package in OWN_PACKAGES:
        logging.getLogger(package).setLevel(level)


def _without_values(record: logging.LogRecord) -> bool:
    """Make the arguments of a library's message safe; a filter, so that it runs before the text is put together."""
    if isinstance(record.args, tuple):
        record.args = tuple(_safe_argument(argument) for argument in record.args)
    elif isinstance(record.args, Mapping):
        record.args = {name: _safe_argument(argument) for name, argument in record.args.items()}
    if isinstance(record.msg, BaseException):
        record.msg = safe_text(record.msg)
    return True


def _safe_argument(argument: object) -> object:
    if isinstance(argument, BaseException):
        return safe_text(argument)
    if isinstance(argument, bytes | bytearray | memoryview):
        return f"<{len(argument)} bytes>"
    return argument


def _masked(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for field, value in event.items():
        if field not in ("event", "exc_info") and not field.startswith("_"):
            event[field] = _plain(field, value)
    return event


def _plain(field: str, value: object) -> object:
    if field.replace("_", "").replace("-", "").lower() in SENSITIVE_FIELDS:
        return MASK
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain("", inner) for inner in value]
    if isinstance(value, Decimal | UUID | date | PurePath):
        return str(value)
    safe = _safe_argument(value)
    return safe if isinstance(safe, str) else type(value).__name__


def _with_exception_as_data(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    error = _exception_of(event)
    if error is not None:
        event["exception"] = [_as_data(link) for link in _chain(error)]
    return event


def _with_exception_as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    error = _exception_of(event)
    if error is not None:
        parts = [
            "\n".join([safe_text(link), *(f"    {frame}" for frame in _frames(link))])
            for link in _chain(error)
        ]
        event["exception"] = "\ncaused by ".join(parts)
    return event


def _exception_of(event: EventDict) -> BaseException | None:
    exc_info: Any = event.pop("exc_info", None)
    if isinstance(exc_info, BaseException):
        return exc_info
    if exc_info is True or exc_info == 1:
        return sys.exc_info()[1]
    return exc_info[1] if isinstance(exc_info, tuple) else None


def _chain(error: BaseException) -> list[BaseException]:
    links = [error]
    while len(links) < _MAX_CAUSES:
        last = links[-1]
        cause = last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if cause is None or cause in links:
            break
        links.append(cause)
    return links


def _as_data(error: BaseException) -> dict[str, object]:
    data: dict[str, object] = {"type": type(error).__name__, "stack": _frames(error)}
    if said := _own_words(error):
        data["message"] = said
    return data


def _frames(error: BaseException) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("worker").critical("uncaught exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(thread: threading.ExceptHookArgs) -> None:
    if thread.exc_value is not None:
        _log_uncaught(thread.exc_type, thread.exc_value, thread.exc_traceback)

"""Logs: what reaches them, and what never does."""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import structlog
from aiokafka.errors import GroupCoordinatorNotAvailableError
from pydantic import BaseModel, ValidationError

from worker.observability.logs import MASK, NoCoordinatorYet, Repeated, configure_logging
from worker.settings import ConfigurationError

EMAIL = "ada@example.com"


class Contact(BaseModel):
    age: int


@pytest.fixture(autouse=True)
def _logging_is_put_back() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    yield
    root.handlers[:], root.level, sys.excepthook, threading.excepthook = before
    structlog.reset_defaults()
    logging.captureWarnings(False)


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_who_how_bad_and_what(stream):
    structlog.get_logger("worker.engine").info("partition restored", partition=3, customer_id="c1")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("partition restored", "info", "worker.engine")
    assert (line["partition"], line["customer_id"]) == (3, "c1")
    assert str(line["timestamp"]).endswith("Z")


@pytest.mark.parametrize(
    "field", ["name", "email", "phone", "address", "key", "value", "body", "newEmail", "zip_code"]
)
def test_a_field_with_a_sensitive_name_is_masked(stream, field):
    structlog.get_logger("worker").warning("odd", **{field: EMAIL}, inner={field: EMAIL})
    (line,) = lines(stream)
    assert line[field] == MASK
    assert EMAIL not in stream.getvalue()


def test_objects_and_bytes_are_shown_as_what_they_are_not_what_they_hold(stream):
    structlog.get_logger("worker").info(
        "odd", raw=EMAIL.encode(), thing=Contact(age=3), error=ValueError(EMAIL)
    )
    (line,) = lines(stream)
    assert (line["raw"], line["thing"], line["error"]) == ("<15 bytes>", "Contact", "ValueError")


def test_an_exception_of_another_library_is_told_without_its_text(stream):
    try:
        try:
            Contact.model_validate({"age": EMAIL})
        except ValidationError as error:
            raise ConfigurationError("the age is no number") from error
    except ConfigurationError:
        structlog.get_logger("worker").exception("failed")
    (line,) = lines(stream)
    ours, theirs = line["exception"]
    assert (ours["type"], ours["message"]) == ("ConfigurationError", "the age is no number")
    assert (theirs["type"], theirs["message"]) == ("ValidationError", "int_parsing")
    assert "test_logs.py" in ours["stack"][0]
    assert EMAIL not in stream.getvalue()


def test_a_librarys_message_is_cleaned_of_bytes_and_exception_texts(stream):
    logger = logging.getLogger("aiokafka.consumer")
    try:
        raise ValueError(EMAIL)
    except ValueError as error:
        logger.exception("cannot read %s: %s", EMAIL.encode(), error)
        logger.error(error)
    first, second = lines(stream)
    assert first["event"] == "cannot read <15 bytes>: ValueError"
    assert second["event"] == "ValueError"
    assert EMAIL not in stream.getvalue()


def test_libraries_are_quiet_below_warning(stream):
    logging.getLogger("faust.transport").info("noise")
    logging.getLogger("faust.transport").warning("signal")
    assert [line["event"] for line in lines(stream)] == ["signal"]


def refused_at(seconds: Sequence[int], level: str) -> list[str]:
    """The levels of what is written when Kafka says in each of these seconds that it has no coordinator."""
    stream, clock = io.StringIO(), iter(map(float, seconds))
    configure_logging("json", level, stream)
    no_coordinator_yet = NoCoordinatorYet(getattr(logging, level.upper()), lambda: next(clock))
    logging.getLogger().handlers[0].filters[:] = [no_coordinator_yet]
    for _ in seconds:
        logging.getLogger("aiokafka.consumer.group_coordinator").error(
            "Group Coordinator Request failed: %s", GroupCoordinatorNotAvailableError()
        )
    return [line["level"] for line in lines(stream)]


@pytest.mark.parametrize(
    ("seconds", "level", "written"),
    [
        (range(5), "info", ["info"]),
        (range(5), "warning", []),
        (range(25), "info", ["info", "error", "error"]),
        (range(25), "warning", ["error", "error"]),
        ([0, 1, 100, 101], "info", ["info", "info"]),
    ],
)
def test_a_kafka_without_a_coordinator_is_an_error_only_when_it_lasts(seconds, level, written):
    assert refused_at(seconds, level) == written


def test_a_kafka_without_a_coordinator_is_told_in_plain_words_and_hides_nothing_else(stream):
    logger = logging.getLogger("aiokafka.consumer.group_coordinator")
    logger.error("Group Coordinator Request failed: %s", GroupCoordinatorNotAvailableError())
    logger.error("Group Coordinator Request failed: %s", ValueError())
    assert [(line["level"], line["event"]) for line in lines(stream)] == [
        ("info", "Kafka has no coordinator for the group yet; it is asked again"),
        ("error", "Group Coordinator Request failed: ValueError"),
    ]


def test_what_a_library_repeats_is_written_every_five_seconds_with_its_count(stream):
    clock = iter([0.0, 0.1, 4.9, 5.0, 5.1, 100.0])
    logging.getLogger().handlers[0].filters[-1] = Repeated(lambda: next(clock))
    for _ in range(6):
        logging.getLogger("aiokafka").error(
            "Unable connect to node with id %s: %s", 0, OSError(111, "refused")
        )
    said = "Unable connect to node with id 0: ConnectionRefusedError: refused"
    assert [line["event"] for line in lines(stream)] == [
        said,
        f"{said} (and 2 times since it was last written)",
        f"{said} (and 1 times since it was last written)",
    ]


def test_nothing_that_differs_and_no_traceback_and_no_line_of_ours_counts_as_repeated(stream):
    library = logging.getLogger("aiokafka")
    for node in (0, 1):
        library.error("Unable connect to node with id %s", node)
    library.warning("Unable connect to node with id 1")
    logging.getLogger("aiokafka.conn").warning("Unable connect to node with id 1")
    for _ in range(2):
        library.error("failed", exc_info=ValueError())
        structlog.get_logger("worker").error("ours")
        logging.getLogger("worker").error("ours as well")
    assert len(lines(stream)) == 4 + 6


def test_more_different_lines_than_can_be_known_are_all_written(stream):
    for number in range(2_500):
        logging.getLogger("aiokafka").error("line 100 %% %s", number)
    assert len(lines(stream)) == 2_500


def test_what_nobody_caught_is_logged_without_its_text(stream):
    try:
        raise ValueError(EMAIL)
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    (line,) = lines(stream)
    assert line["level"] == "critical"
    assert EMAIL not in stream.getvalue()


def test_the_console_form_is_one_readable_line():
    stream = io.StringIO()
    configure_logging("console", "debug", stream)
    structlog.get_logger("worker").debug("started", port=6066, email=EMAIL)
    text = stream.getvalue()
    assert "started" in text
    assert "port=6066" in text
    assert EMAIL not in text

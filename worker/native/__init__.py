"""The codecs of the hot path in C, and the choice between them and the Python forms. See worker/native/README.md.

Rules:
- Both give the same bytes. A process may use either, and so may each worker of an application.
- Until `choose` is called, the Python forms are used.
- A library that was built from another source than the one beside it is not used.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from typing import Any, Protocol, TypeVar

import structlog

from worker.native.build import digest

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Choice(StrEnum):
    """Which codecs a process uses."""

    AUTO = "auto"
    """Those in C, if they were built."""
    REQUIRE = "require"
    """Those in C. Without them the worker does not start."""
    OFF = "off"
    """The Python forms."""


BUILD = "`python -m worker.native`"
NOT_BUILT = "not built"

SLOT = "%s"
"""Stands in a template where a value goes."""

_MARKER = re.compile("%([0-9]+)%")

Text = tuple[bytes, bytes, bytes, tuple[int, ...]]
"""A template with slots `%s`. For each slot it has a letter, the place of a value, and a number to add.

- q: a text, in quotes and escaped as in JSON; t: a text as it is.
- i: an int, with the number added; m: an amount in minor units; b: a bool.
- T: the time; I: an id, whose place is among the ids.
"""

Texts = tuple[bytes, tuple[Text, ...], tuple[Text, ...]]
"""What `Codecs.texts` makes: the bytes of the ids' namespace, the texts of which ids are made, and the texts.

An id is the UUIDv5 of its text in the namespace.
"""

Slot = tuple[str, str] | tuple[str, str, int]
"""The letter of a slot, the name of its value, and the number to add, if any. An id has a number instead of a name."""


def text(make: Callable[..., str], names: Sequence[str], *slots: Slot) -> Text:
    """Make a template, and the letters and places of its slots.

    Args:
        make: makes the template of the markers of its arguments. It may use an argument more than once.
        names: of all values.
        slots: one for each argument.
    """
    marked = make(*[f"%{number}%" for number in range(len(slots))])
    found = [slots[int(number)] for number in _MARKER.findall(marked)]
    letters = "".join(letter for letter, *_ in found).encode()
    places = bytes(int(name) if letter == "I" else names.index(name) for letter, name, *_ in found)
    return _MARKER.sub(SLOT, marked).encode(), letters, places, tuple(sum(more) for _, _, *more in found)


Fields = tuple[tuple[bytes, ...], bytes, tuple[bytes, ...], Mapping[str, int]]
"""What `Codecs.objects` needs of the fields of a JSON object, in this order:

- their names, and the kind of each, as letters;
- the names of an amount and its currency in an object of both;
- the number of digits of each currency.

The kinds are:
- d: an id; o: an id that may be null or missing;
- m: an object of an amount and its currency, which make two arguments; t: a time, in ms since 1970 UTC;
- x: a field that must not be there, and makes no argument.
"""


class Codecs(Protocol):
    """The functions of the library. Each Python form stands where it is called."""

    def texts(
        self, forms: Texts, digits: int, time: str, values: tuple[str | int, ...]
    ) -> tuple[bytes, ...] | None:
        """Fill templates.

        Args:
            forms: the templates.
            digits: after the point of an amount.
            time: RFC 3339.
            values: at most 32.

        Returns:
            The texts. None if a value is no Unicode, has over 64 bits or needs more escapes than a backslash.

        Raises:
            ValueError: a slot has no value of its kind.
        """

    def objects(self, fields: Fields, make: Callable[..., T], values: list[bytes]) -> list[T | None]:
        """Read plain JSON objects.

        Args:
            fields: what to look for. Other fields are skipped.
            make: called with what the fields hold, in their order.
            values: the JSON texts.

        Returns:
            For each value what `make` returned; None if the Python form has to read it. That is so for characters beyond
            ASCII, escapes, a field twice, and other spellings of times and amounts. It is so for what breaks the schema.
        """

    def count_orders(
        self,
        facts: tuple[Any, ...],
        looked_up: dict[bytes, bytes | None],
        records: list[Any],
        orders: list[Any],
        start: int,
    ) -> tuple[int, int]:
        """Count usual orders that follow each other in the log, as agents.usual_orders.take does each of them.

        Args:
            facts: of the batch (agents.usual_orders.Facts). Its collections are changed.
            looked_up: the committed ledger lines of all orders by their keys; None for a line that is not there.
            records: the records of a slice.
            orders: for each record its order and the key of its ledger line; or None, where the run ends.
            start: the place of the first record.

        Returns:
            How many orders have counted, and the bytes of their ledger lines. It ends before an order that only the
            Python form may take.

        Raises:
            ValueError: the arguments do not fit together.
        """

    def record_set(
        self,
        keys: list[bytes | None],
        values: list[bytes | None],
        headers: list[list[tuple[str, bytes | None]]],
        start: int,
        limit: int,
    ) -> tuple[bytearray, int]:
        """Write records as they stand in a record batch, all with the batch's timestamp.

        Args:
            keys: of all records.
            values: of all records.
            headers: of all records; empty if none has headers.
            start: the place of the first record to write. It is written even if it exceeds the limit.
            limit: a batch of two records or more has fewer bytes.

        Returns:
            61 zero bytes for the header and the records behind them; the place of the first record that was not written.
            It ends before a record that only the Python form may take. Such a record has a header name that is not UTF-8.
            Or its key, value or header has another type.

        Raises:
            IndexError: there are fewer values or headers than keys.
            OverflowError: a batch would exceed 2 GiB.
            ValueError: start or limit is negative.
        """

    def records(
        self,
        make: Callable[..., T],
        topic: str,
        partition: int,
        offset: int,
        timestamp: int,
        stamped: bool,
        first: int,
        most_bytes: int,
        data: bytes | memoryview,
        start: int,
        count: int,
    ) -> tuple[list[T], int] | None:
        """Read records of an uncompressed record batch.

        Args:
            make: called with topic, partition, offset, timestamp, key, value and an empty tuple of headers.
            topic: where the batch was read.
            partition: where the batch was read.
            offset: of the batch.
            timestamp: of the batch, in ms since 1970 UTC.
            stamped: whether each record has the batch's timestamp.
            first: records with a smaller offset are left out.
            most_bytes: how many bytes a key and a value may have together.
            data: the records.
            start: where in the data the first record to read begins.
            count: how many records to read.

        Returns:
            What `make` returned for each record, and where in the data the next record begins. None if only the Python
            form may read them: they are no records, or one has headers, too many bytes, or numbers beyond 64 bits.

        Raises:
            ValueError: start is not within the data, or most_bytes is negative.
        """

    def crc32c(self, data: bytes | bytearray | memoryview, start: int) -> int:
        """The CRC-32C of data[start:]. Raises ValueError if start is not within the data."""


class NativeMissing(Exception):
    """The codecs in C are required and cannot be used. The text says why."""


chosen: Codecs | None = None
"""The codecs in C; None while the Python forms are used."""


def choose(choice: Choice) -> str:
    """Choose for this process, and say in a few words what is used and why.

    Raises:
        NativeMissing: choice is REQUIRE and the codecs in C cannot be used.
    """
    global chosen
    chosen = None
    if choice is Choice.OFF:
        return "no, turned off"
    found, why_not = library()
    if found is None and choice is Choice.REQUIRE:
        raise NativeMissing(f"they are {why_not}")
    if found is None and why_not != NOT_BUILT:
        log.warning("the codecs in C are not used", why=why_not, build=BUILD)
    chosen = found
    return "yes" if found is not None else f"no, {why_not}"


def library() -> tuple[Codecs | None, str]:
    """The library, or None and why it cannot be used."""
    try:
        found: Any = import_module(f"{__name__}.compiled")
    except ModuleNotFoundError:
        return None, NOT_BUILT
    except ImportError:
        return None, "built for another system"
    if digest() != found.SOURCE:
        return None, "built from another source"
    return found, ""

"""The comparison as a document: text for people, CSV for spreadsheets, JSON for programs.

Rules:
- Memory does not grow with the customers. Rows of CSV and JSON wait in a temporary file until the summary is known.
- CSV is RFC 4180. A spreadsheet must not take an id for a formula, because whoever registers chooses the id. So an id that
  begins like a formula gets an apostrophe before it. So does one that begins with an apostrophe; what reads the file takes
  one apostrophe away.
- JSON is ASCII, with escapes for everything else.
"""

import csv
import json
import tempfile
from collections.abc import Iterable, Iterator
from heapq import nlargest
from itertools import chain
from typing import IO, Protocol

import msgspec

from worker.whatif import summary
from worker.whatif.comparison import Comparison, Difference
from worker.whatif.summary import PointValue

COLUMNS = Difference.__struct_encode_fields__
_FORMULA = "=+-@＝＋－＠'"  # noqa: RUF001 - spreadsheets of some languages take the wide forms, too
_encode = msgspec.json.Encoder().encode


class Document(Protocol):
    """A document that is written in one go, after all differences were added."""

    def add(self, differences: Iterable[Difference]) -> None:
        """Add those of one partition. Raises OSError."""

    def lines(self, compared: Comparison) -> Iterator[str]:
        """The lines, each with one end. Raises OSError."""

    def close(self) -> None:
        """Remove temporary files."""


class Text:
    """The summary, and those whom it changes most: levels first, then VIP, then points. limit: how many of them."""

    def __init__(self, limit: int, value: PointValue | None) -> None:
        self._limit = limit
        self._value = value
        self._most: list[Difference] = []

    def add(self, differences: Iterable[Difference]) -> None:
        """Add those of one partition."""
        self._most = nlargest(self._limit, chain(self._most, differences), key=lambda each: each.size)

    def lines(self, compared: Comparison) -> Iterator[str]:
        """The lines with their ends."""
        for line in summary.text(compared, self._value):
            yield f"{line}\n"
        if self._most:
            yield "\n"
            yield from _table(self._most)
        more = compared.changed - len(self._most)
        if more:
            yield f"... and {more:,} more. --limit shows more of them, --format csv or json shows all.\n"

    def close(self) -> None:
        """There is no temporary file."""


class _Spooled:
    """Rows in a temporary file."""

    def __init__(self) -> None:
        self._rows: IO[str] = tempfile.TemporaryFile("w+", newline="", encoding="utf-8")  # noqa: SIM115

    def close(self) -> None:
        """Remove the temporary file."""
        self._rows.close()

    def _read(self) -> Iterator[str]:
        self._rows.seek(0)
        return iter(self._rows)


class Csv(_Spooled):
    """A header, and a row for each who would have something else: by partition, then by customerId."""

    def __init__(self) -> None:
        super().__init__()
        self._writer = csv.writer(self._rows)
        self._writer.writerow(COLUMNS)

    def add(self, differences: Iterable[Difference]) -> None:
        """Add those of one partition. Raises OSError."""
        self._writer.writerows(_cells(each) for each in differences)

    def lines(self, compared: Comparison) -> Iterator[str]:
        """The lines with their ends. Raises OSError."""
        return self._read()


class Json(_Spooled):
    """One object: the summary, and all who would have something else, in the order of partitions and then of customerIds."""

    def __init__(self, value: PointValue | None) -> None:
        super().__init__()
        self._value = value
        self._between = ""

    def add(self, differences: Iterable[Difference]) -> None:
        """Add those of one partition. Raises OSError."""
        for each in differences:
            self._rows.write(f"{self._between}{_ascii(each)}")
            self._between = ",\n"

    def lines(self, compared: Comparison) -> Iterator[str]:
        """The lines with their ends. Raises OSError."""
        yield f'{{"summary":{json.dumps(summary.figures(compared, self._value))},"customers":[\n'
        for row in self._read():
            yield row if row.endswith("\n") else f"{row}\n"
        yield "]}\n"


def _cells(difference: Difference) -> list[str | int]:
    customer_id, *rest = msgspec.structs.astuple(difference)
    return [_harmless(customer_id), *(_cell(each) for each in rest)]


def _cell(value: object) -> str | int:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, int) else str(value)


def _harmless(customer_id: str) -> str:
    """The id so that no spreadsheet takes it for a formula."""
    return f"'{customer_id}" if customer_id.lstrip().startswith(tuple(_FORMULA)) else customer_id


def _ascii(difference: Difference) -> str:
    text = _encode(difference).decode()
    return text if text.isascii() else json.dumps(json.loads(text), separators=(",", ":"))


def _table(differences: list[Difference]) -> Iterator[str]:
    rows = [("customer", "level", "points", "debt", "VIP"), *map(_row, differences)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"{'  '.join(cells).rstrip()}\n"


def _row(each: Difference) -> tuple[str, ...]:
    return (
        each.customer_id,
        _moved(each.level_before, each.level_after),
        _moved(f"{each.points_before:,}", f"{each.points_after:,}"),
        _moved(f"{each.debt_before:,}", f"{each.debt_after:,}"),
        _moved(_yes(each.vip_before), _yes(each.vip_after)),
    )


def _moved(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"

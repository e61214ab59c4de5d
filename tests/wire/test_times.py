"""Times keep their millisecond, and no time moves into another day."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.verify.reading.text import Bad, instant
from worker.wire.times import MS_PER_DAY, format_day, format_time, parse_day, parse_time

FIRST, LAST = parse_time("1900-01-01T00:00:00Z"), parse_time("9999-12-31T23:59:59.999Z")


@given(st.integers(FIRST, LAST))
def test_a_time_survives_the_wire(ms: int) -> None:
    assert parse_time(format_time(ms)) == ms


@given(st.integers(FIRST // MS_PER_DAY, LAST // MS_PER_DAY))
def test_a_day_survives_the_wire(day: int) -> None:
    assert parse_day(format_day(day)) == day


@given(
    st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001  # hypothesis wants naive ones
    st.integers(-1439, 1439),
)
def test_the_offset_does_not_matter(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_time(moment.isoformat()) == expected


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("2026-11-24t10:15:30z", "2026-11-24T10:15:30.000Z"),
        ("2026-11-24T10:15:30.1Z", "2026-11-24T10:15:30.100Z"),
        ("2026-11-24T23:59:59.9999999Z", "2026-11-24T23:59:59.999Z"),
        ("2026-11-24T10:15:30.123456789+00:00", "2026-11-24T10:15:30.123Z"),
        ("2026-11-24T10:15:30-00:00", "2026-11-24T10:15:30.000Z"),
        ("2026-11-24T11:15:30+01:00", "2026-11-24T10:15:30.000Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"),
        ("2017-01-01T00:59:60.5+01:00", "2016-12-31T23:59:59.999Z"),
        ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
    ],
)
def test_every_rfc_3339_spelling_is_read(text: str, same_as: str) -> None:
    assert format_time(parse_time(text)) == same_as


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T10:15:30",
        "2026-11-24T10:15:30.123",
        "2026-11-24",
        "2026-11-24 10:15:30Z",
        "20261124T101530Z",
        "2026-W48-2T10:15:30Z",
        "2026-W48-2T10:15:30.123Z",
        "2026-11-24T10:15Z",
        "2026-11-24T10:15:30,123Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T24:00:00.000Z",
        "2026-11-24T10:15:60Z",
        "2026-02-30T10:15:30Z",
        "2026-13-01T10:15:30Z",
        "2026-11-24T10:15:30+24:00",
        "2026-11-24T10:15:30+05:60",
        "2026-11-24T10:15:30+01:75",
        "2026-11-24T10:15:30-01:99",
        "2026-11-24T10:15:30+0100",
        "2026-11-24T10:15:30.Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "1899-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "+2026-11-24T10:15:30Z",
        "٢٠٢٦-11-24T10:15:30Z",
        "2026-11-24T10:15:30Z\n",
        "",
        "yesterday",
    ],
)
def test_anything_else_is_not_a_time(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_time(text)
    assert not text.strip() or text.strip() not in str(refused.value)


@pytest.mark.parametrize("text", ["2026-02-30", "20261124", "2026-W48-2", "2026-11-24T00:00:00Z", ""])
def test_a_day_is_a_plain_iso_date(text: str) -> None:
    with pytest.raises(ValueError):
        parse_day(text)


PARTS = st.tuples(
    st.sampled_from(
        ["2026-11-24", "1900-01-01", "1899-12-31", "9999-12-31", "2026-02-30", "2016-12-31", "0000-01-01"]
    ),
    st.sampled_from(["T", "t", " ", ""]),
    st.sampled_from(
        ["10:15:30", "23:59:60", "24:00:00", "23:59:59", "00:00:00", "10:60:00", "10:15", "22:59:60"]
    ),
    st.sampled_from(["", ".1", ".1234567890123", ".", ",5", ".000"]),
    st.sampled_from(
        ["Z", "z", "", "+00:00", "-00:00", "+23:59", "-01:00", "+05:60", "+01:75", "-24:00", "+0100"]
    ),
)


@settings(max_examples=1_500, deadline=None)
@given(PARTS.map("".join) | st.text("0123456789-:TtZz.+ ", max_size=30))
def test_worker_and_verification_read_a_time_alike(text: str) -> None:
    try:
        read: int | None = parse_time(text)
    except ValueError:
        read = None
    try:
        verified: int | None = instant(text)
    except Bad:
        verified = None
    assert read == verified

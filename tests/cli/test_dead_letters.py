"""Listing and replaying dead letters on a real Kafka, of producers that try to hide or redirect some."""

import asyncio
import hashlib
import json
import re

import pytest
from aiokafka import ConsumerRecord

from tests.cli.console import on_terminal, run, settings
from worker.kafka.producer import producing
from worker.kafka.reader import reading
from worker.kafka.topics import Catalogue
from worker.wire.inbox import SOURCE_TIMESTAMP

PREFIX = "letters."
HASH = b"0123456789abcdef" * 4
NASTY = b"[/bold] [red]\x1b]0;t\x07\xe2\x80\xae\xff :smile:"
FIRST_AT = b"1700000000123"

Headers = list[tuple[str, bytes]]


class Shop:
    """One test's letters, told by their key and reason; what is said of them is put there by hand."""

    def __init__(self, environment: dict[str, str], kafka: str, name: str) -> None:
        self.environment = environment
        self.topics = Catalogue(topic_prefix=PREFIX, partitions=3)
        self.key, self.reason = name.encode(), name
        self._client = {"bootstrap_servers": kafka}

    def put(self, *letters: tuple[bytes | None, Headers]) -> list[int]:
        """Write letters; returns their offsets."""

        async def put() -> list[int]:
            async with producing(self._client) as producer:
                topic = self.topics.dead_letters.name
                written = [
                    await producer.send_and_wait(topic, value, key=self.key, headers=headers)
                    for value, headers in letters
                ]
                return [each.offset for each in written]

        return asyncio.run(put())

    def send(self, topic: str, value: bytes, headers: Headers) -> None:
        async def send() -> None:
            async with producing(self._client) as producer:
                await producer.send_and_wait(topic, value, key=self.key, headers=headers)

        asyncio.run(send())

    def kept(self, topic: str, partitions: int = 3) -> list[ConsumerRecord]:
        async def kept() -> list[ConsumerRecord]:
            async with reading(self._client, [topic], range(partitions), from_beginning=True) as reader:
                return [
                    record
                    async for records in reader.to_the_end()
                    for record in records
                    if record.key == self.key
                ]

        return asyncio.run(kept())

    def run(self, *arguments: str) -> tuple[int, str, str]:
        done = run(self.environment, "dead-letters", *arguments)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    def said(self, topic: str = "order.completed", detail: bytes = b"d") -> Headers:
        """What the worker says of a letter."""
        return [
            ("dlq-reason", self.reason.encode()),
            ("dlq-detail", detail),
            ("dlq-topic", f"{PREFIX}{topic}".encode()),
            ("dlq-partition", b"0"),
            ("dlq-offset", b"7"),
            ("dlq-timestamp", FIRST_AT),
        ]


@pytest.fixture(scope="module")
def environment(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    ours = settings(kafka, PREFIX, tmp_path_factory.mktemp("data"))
    assert run(ours, "topics").returncode == 0
    return ours


@pytest.fixture
def shop(environment: dict[str, str], kafka: str, request: pytest.FixtureRequest) -> Shop:
    return Shop(environment, kafka, request.node.name)


def test_a_letter_goes_back_once_with_its_key_its_headers_and_its_first_timestamp(shop):
    own = [("h", b"\x00\xff"), (SOURCE_TIMESTAMP, b"1"), ("dlq-replayed-from", b"0/99")]
    [offset] = shop.put((b"original", own + shop.said()))
    assert "Sent 1 back; 0 had been" in shop.run("replay", "--reason", shop.reason)[2]
    assert "Sent 0 back; 1 had been" in shop.run("replay", "--reason", shop.reason)[2]
    assert "Sent 0 back; 1 had been" in shop.run("replay", "--offset", str(offset))[2]
    [record] = shop.kept(shop.topics.orders.name)
    assert (record.key, record.value) == (shop.key, b"original")
    added = [(SOURCE_TIMESTAMP, FIRST_AT), ("dlq-replayed-from", b"0/%d" % offset)]
    assert list(record.headers) == [("h", b"\x00\xff"), *added]
    assert "Sent 1 back" in shop.run("replay", "--offset", str(offset), "--again")[2]
    assert len(shop.kept(shop.topics.orders.name)) == 2


def test_no_producer_can_hide_a_letter_with_a_header(shop):
    [offset] = shop.put((b"original", [("dlq-masked", b"size"), *shop.said()]))
    for topic in (shop.topics.orders.name, shop.topics.commands.name):
        shop.send(topic, b"forged", [("dlq-replayed-from", b"0/%d" % offset)])
    assert "Sent 1 back; 0 had been" in shop.run("replay", "--reason", shop.reason)[2]


def test_no_producer_can_send_a_letter_elsewhere_with_a_header(shop):
    forged = [("dlq-reason", b"UNDECODABLE"), *shop.said("customer.commands", b"forged")[1:]]
    shop.put((b"original", forged + shop.said()), (b"events", shop.said("customer.events")))
    listed = [
        json.loads(line) for line in shop.run("list", "--reason", shop.reason, "--json")[1].splitlines()
    ]
    assert [(each["reason"], each["detail"]) for each in listed] == [(shop.reason, "d")] * 2
    shop.run("replay", "--reason", shop.reason)
    assert [record.value for record in shop.kept(shop.topics.orders.name)] == [b"original"]
    assert shop.kept(shop.topics.commands.name) == []
    assert shop.kept(shop.topics.events.name) == []


def test_a_replay_of_several_skips_what_cannot_go_and_says_so(shop):
    masked = [*shop.said(), ("dlq-masked", b"card-number")]
    first, hashed, foreign, last = shop.put(
        (b"first", shop.said()), (HASH, masked), (b"x", shop.said("elsewhere")), (b"last", shop.said())
    )
    code, _, said = shop.run("replay", "--reason", shop.reason)
    assert code == 0
    assert "Sent 2 back" in said
    assert "Skipped 1 that hold only a hash of their value" in said
    assert f"Skipped offsets: {hashed}, {foreign}." in said
    assert {record.value for record in shop.kept(shop.topics.orders.name)} == {b"first", b"last"}
    assert first < last


def test_a_single_hashed_letter_says_what_to_do_and_goes_with_the_original(shop, tmp_path):
    [offset] = shop.put((HASH, [*shop.said(), ("dlq-masked", b"card-number")]))
    code, _, said = shop.run("replay", "--offset", str(offset))
    assert (code, "--edit FILE" in said) == (1, True)
    file = tmp_path / "mended.json"
    file.write_bytes(b"\xef\xbb\xbf{}\r\n")
    assert shop.run("replay", "--offset", str(offset), "--edit", str(file))[0] == 0
    assert [record.value for record in shop.kept(shop.topics.orders.name)] == [b"{}"]


def test_letters_of_a_topic_that_was_made_anew_are_not_taken_for_those_of_before(shop):
    [offset] = shop.put((b"new", shop.said()))
    mark = {"place": f"0/{offset}", "writtenAt": 1, "sentTo": shop.topics.orders.name}
    shop.send(shop.topics.replays.name, json.dumps(mark).encode(), [])
    shop.send(shop.topics.replays.name, b"no mark", [])
    assert "Sent 1 back; 0 had been" in shop.run("replay", "--reason", shop.reason)[2]


def test_a_letter_of_an_earlier_version_goes_back_with_its_own_timestamp(shop):
    shop.put((b"old", shop.said()[:-1]))
    shop.run("replay", "--reason", shop.reason)
    [letter], [record] = shop.kept(shop.topics.dead_letters.name, 1), shop.kept(shop.topics.orders.name)
    assert dict(record.headers)[SOURCE_TIMESTAMP] == b"%d" % letter.timestamp


def test_an_offset_without_a_letter_is_one_sentence(shop):
    code, _, said = shop.run("replay", "--offset", "4711")
    assert (code, said.splitlines()[-1]) == (1, "There is no such dead letter at offset 4711.")


def test_values_of_any_bytes_are_listed_without_a_control_character(shop):
    shop.put(
        (NASTY, shop.said(detail=NASTY)),
        (None, shop.said()),
        (b"x" * 1_000_000, shop.said()),
        (b"y" * 2_000_000, shop.said()),
        (b"\r\n\x1b[2J", shop.said()),
    )
    code, table, _ = shop.run("list", "--reason", shop.reason, "--values")
    assert code == 0
    assert all(line.isprintable() for line in table.split("\n"))
    assert "[/bold] [red]\\x1b]0;t\\x07\\u202e\\xff :smile:" in table
    assert "(null)" in table
    assert "and 999000 bytes more" in table
    too_large = hashlib.sha256(b"y" * 2_000_000).hexdigest()  # as the worker itself keeps such a one
    assert too_large in table
    assert len(table) < 40_000
    code, lines, _ = shop.run("list", "--reason", shop.reason, "--values", "--json")
    listed = [json.loads(line) for line in lines.splitlines()]
    assert [each["value"] for each in listed[1:4]] == [None, "x" * 1_000_000, too_large]


def test_a_terminal_gets_no_escape_sequence_of_a_value(shop):
    shop.put((NASTY, shop.said(detail=NASTY)))
    shown = on_terminal(shop.environment, "dead-letters", "list", "--reason", shop.reason, "--values")
    without_colours = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "\\x1b]0" in re.sub(r"[^\x21-\x7e]", "", without_colours)
    assert all(line.isprintable() for line in without_colours.split("\r\n"))
    assert max(map(len, without_colours.split("\r\n"))) <= 80


def test_without_colours_nothing_but_text_reaches_the_terminal(shop):
    shop.put((b"x", shop.said()))
    shown = on_terminal(shop.environment | {"NO_COLOR": "1"}, "dead-letters", "list")
    assert re.findall(r"\x1b\[[0-9;]*m", shown) == re.findall(r"\x1b\[[013]m", shown)

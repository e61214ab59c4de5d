"""The desk's dead letters on a real Kafka: pages, single letters, and replays that happen once."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiokafka.producer.sender
import pytest
from aiokafka import ConsumerRecord

from worker.app.letters.box import Letters, Patience
from worker.app.letters.filling import Bounds, Filling
from worker.engine import lasting
from worker.engine.exits import ExitCode
from worker.engine.patches import tasks
from worker.kafka.admin import ensure_topics
from worker.kafka.producer import producing
from worker.kafka.reader import reading
from worker.kafka.topics import Catalogue
from worker.letter_box import LetterPage, LettersUnavailable, ReplayOutcome
from worker.operations.letters import Headers
from worker.operations.replay import Choice, replay
from worker.wire.inbox import SOURCE_TIMESTAMP
from worker.wire.limits import MAX_VALUE_BYTES

QUICK = Bounds(pause_s=0.0, look_s=0.05)
HASH = b"0123456789abcdef" * 4


class Shop:
    """One installation's dead letters, put there by hand."""

    def __init__(self, kafka: str) -> None:
        self.client: dict[str, Any] = {"bootstrap_servers": kafka}
        name = uuid.uuid4().hex[:8]
        self.topics = Catalogue(topic_prefix=f"{name}.", app_id=name, partitions=2)
        self.boxes: list[Letters] = []

    async def put(self, *letters: tuple[bytes | None, bytes | None, Headers]) -> list[int]:
        """Writes letters, each a key, a value and headers; returns their offsets."""
        async with producing(self.client) as producer:
            topic = self.topics.dead_letters.name
            sends = [await producer.send(topic, value, key=key, headers=list(h)) for key, value, h in letters]
            return [(await sent).offset for sent in sends]

    async def put_many(self, count: int, first: int = 0, value: bytes = b"{}") -> None:
        await self.put(*((f"c{n}".encode(), value, self.said()) for n in range(first, first + count)))

    def said(self, reason: str = "INVALID", topic: str = "order.completed") -> Headers:
        """What the worker says of a letter."""
        return (
            ("dlq-reason", reason.encode()),
            ("dlq-detail", b"totalAmount: missing"),
            ("dlq-topic", f"{self.topics.topic_prefix}{topic}".encode()),
            ("dlq-partition", b"1"),
            ("dlq-offset", b"7"),
            ("dlq-timestamp", b"1700000000123"),
        )

    def box(self, bounds: Bounds = QUICK, clock: Callable[[], float] = time.monotonic) -> Letters:
        """The dead letters as one worker's desk sees them."""
        filling = Filling(self.client, self.topics, bounds, clock)
        self.boxes.append(Letters(self.client, self.topics, filling, Patience(again_s=0.1)))
        return self.boxes[-1]

    async def sent(self, topic: str = "order.completed") -> list[ConsumerRecord]:
        """What was sent back to a topic."""
        name = f"{self.topics.topic_prefix}{topic}"
        async with reading(self.client, [name], range(2), from_beginning=True) as reader:
            return [record async for records in reader.to_the_end() for record in records]


@pytest.fixture
async def shop(kafka: str) -> AsyncIterator[Shop]:
    made = Shop(kafka)
    topics = made.topics
    wanted = topics.dead_letters, topics.replays, topics.orders, topics.commands
    await ensure_topics(made.client, wanted, 1)
    yield made
    for box in made.boxes:
        await box.stop()


async def eventually(
    look: Callable[[], Awaitable[LetterPage]], holds: Callable[[LetterPage], bool]
) -> LetterPage:
    """The first page of which it holds."""
    async with asyncio.timeout(30):
        while not holds(page := await look()):
            await asyncio.sleep(0.02)
    return page


def offsets(page: LetterPage) -> list[int]:
    return [each.offset for each in page.entries]


async def test_pages_show_the_latest_first_with_filters_and_counts(shop: Shop):
    await shop.put(
        (b"ann", b"{}", shop.said()),
        (b"ben", b"abc", shop.said("FAILED", "customer.commands")),
        (b"ann", None, shop.said("FAILED")),
    )
    box = shop.box()
    page = await eventually(lambda: box.page(2), lambda page: page.index.complete)
    assert (offsets(page), page.next) == ([2, 1], 1)
    assert offsets(await box.page(2, before=1)) == [0]
    assert page.index.by_reason == {"FAILED": 2, "INVALID": 1}
    assert offsets(await box.page(9, topic=f"{shop.topics.topic_prefix}customer.commands")) == [1]
    assert offsets(await box.page(9, customer_id="ann")) == [2, 0]
    first = (await box.page(9, reason="INVALID")).entries[0]
    assert (first.customer_id, first.partition, first.source_offset, first.size) == ("ann", 1, 7, 2)
    assert (first.detail, first.topic) == (
        "totalAmount: missing",
        f"{shop.topics.topic_prefix}order.completed",
    )


async def test_a_topic_without_letters_has_an_empty_and_complete_index(shop: Shop):
    box = shop.box()
    page = await eventually(lambda: box.page(9), lambda page: page.index.complete)
    assert (page.entries, page.next, page.index.since, page.index.reading) == ((), None, None, False)


async def test_the_index_looks_back_step_by_step_up_to_its_bound_and_follows_the_topic(shop: Shop):
    await shop.put_many(120)
    box = shop.box(QUICK._replace(letters=50, step=10))
    page = await eventually(lambda: box.page(200), lambda page: not page.index.reading)
    assert offsets(page) == list(range(119, 69, -1))
    assert (page.index.letters, page.index.complete) == (50, False)
    await shop.put_many(5)
    page = await eventually(lambda: box.page(200), lambda page: offsets(page)[0] == 124)
    assert (offsets(page)[-1], page.index.letters) == (75, 50)


@pytest.mark.parametrize("bound", [{"offsets": 30}, {"back_bytes": 30 * 1_000, "step_bytes": 10_000}])
async def test_it_does_not_look_back_further_than_its_offsets_and_bytes_allow(
    shop: Shop, bound: dict[str, int]
):
    await shop.put_many(100, value=b"x" * 1_000)
    box = shop.box(QUICK._replace(step=10, **bound))
    page = await eventually(lambda: box.page(200), lambda page: not page.index.reading)
    assert 30 <= page.index.letters <= 40
    assert not page.index.complete


async def test_a_flood_of_new_letters_begins_the_index_anew_at_the_end(shop: Shop):
    await shop.put_many(10)
    box = shop.box(QUICK._replace(offsets=30))
    await eventually(lambda: box.page(9), lambda page: page.index.letters == 10)
    await shop.put_many(100)
    page = await eventually(lambda: box.page(200), lambda page: offsets(page)[:1] == [109])
    assert page.index.letters <= 60


async def test_the_index_is_dropped_when_nobody_has_looked_for_a_while_and_comes_back(shop: Shop):
    now = 0.0
    await shop.put_many(3)
    box = shop.box(QUICK._replace(idle_s=60.0), clock=lambda: now)
    await eventually(lambda: box.page(9), lambda page: page.index.letters == 3)
    now = 61.0
    async with asyncio.timeout(10):
        while box._filling.known is not None:
            await asyncio.sleep(0.02)
    page = await eventually(lambda: box.page(9), lambda page: page.index.letters == 3)
    assert offsets(page) == [2, 1, 0]


async def test_a_customers_page_does_not_wait_for_the_index(shop: Shop):
    await shop.put_many(3)
    box = shop.box()
    began = time.process_time()
    page = await box.page(9, customer_id="c1")
    assert (page.entries, page.index.reading, page.index.complete) == ((), True, False)
    assert time.process_time() - began < 0.05
    await eventually(lambda: box.page(9, customer_id="c1"), lambda page: offsets(page) == [1])


async def test_a_letter_is_shown_as_a_whole_however_old_it_is(shop: Shop):
    odd: Headers = (("h", b"\x00\xff"), ("nothing", None))
    [offset, hashed] = await shop.put(
        (b"ann", b"\xff\x00", (*odd, *shop.said())), (b"ann", HASH, (*shop.said(), ("dlq-masked", b"size")))
    )
    box = shop.box()
    letter = await box.letter(offset)
    assert letter is not None
    assert (letter.key, letter.value, letter.only_hash) == (b"ann", b"\xff\x00", False)
    assert letter.headers[:2] == odd
    assert (letter.entry.reason, letter.detail, letter.entry.replayed) == (
        "INVALID",
        "totalAmount: missing",
        None,
    )
    masked = await box.letter(hashed)
    assert masked is not None
    assert masked.only_hash
    assert await box.letter(2) is None
    assert await box.letter(10**15) is None


async def test_a_letter_goes_back_once_with_its_key_and_headers_and_the_index_knows_it(shop: Shop):
    [offset] = await shop.put((b"ann", b"original", (("h", b"1"), *shop.said())))
    box = shop.box()
    await eventually(lambda: box.page(9), lambda page: page.entries[0].replayed is False)
    assert await box.replay(offset) is ReplayOutcome.SENT
    assert (await box.page(9)).entries[0].replayed
    assert await box.replay(offset, b"edited") is ReplayOutcome.SENT_BEFORE
    [record] = await shop.sent()
    assert (record.key, record.value) == (b"ann", b"original")
    added = [(SOURCE_TIMESTAMP, b"1700000000123"), ("dlq-replayed-from", b"0/%d" % offset)]
    assert list(record.headers) == [("h", b"1"), *added]
    letter = await box.letter(offset)
    assert letter is not None
    assert letter.entry.replayed
    by_console = await replay(shop.client, shop.topics, Choice(frozenset({offset})))
    assert (by_console.sent, by_console.before) == (0, 1)


async def test_a_replay_of_the_console_is_seen_and_not_repeated(shop: Shop):
    [offset] = await shop.put((b"ann", b"original", shop.said()))
    assert (await replay(shop.client, shop.topics, Choice(frozenset({offset})))).sent == 1
    box = shop.box()
    assert await box.replay(offset) is ReplayOutcome.SENT_BEFORE
    page = await eventually(lambda: box.page(9), lambda page: page.entries[0].replayed is not None)
    assert page.entries[0].replayed
    assert len(await shop.sent()) == 1


async def test_an_edited_value_goes_in_place_of_the_letters_own(shop: Shop):
    first, hashed = await shop.put((b"ann", b"original", shop.said()), (b"ben", HASH, shop.said()))
    box = shop.box()
    assert await box.replay(hashed) is ReplayOutcome.ONLY_HASH
    assert await box.replay(first, b"x" * (MAX_VALUE_BYTES + 1)) is ReplayOutcome.TOO_LARGE
    assert await shop.sent() == []
    assert await box.replay(first, b"mended") is ReplayOutcome.SENT
    assert await box.replay(hashed, b"x" * MAX_VALUE_BYTES) is ReplayOutcome.SENT
    assert {record.value for record in await shop.sent()} == {b"mended", b"x" * MAX_VALUE_BYTES}


async def test_what_cannot_go_is_said(shop: Shop):
    [foreign] = await shop.put((b"ann", b"{}", shop.said(topic="customer.events")))
    box = shop.box()
    assert await box.replay(foreign) is ReplayOutcome.FOREIGN
    assert await box.replay(foreign + 1) is ReplayOutcome.NO_SUCH_LETTER
    assert await box.replay(10**15) is ReplayOutcome.NO_SUCH_LETTER


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> list[ExitCode]:
    """The codes with which the process would have ended, because a task of a client died."""
    found: list[ExitCode] = []
    monkeypatch.setattr(lasting, "die", lambda code, *_, **__: found.append(code))
    monkeypatch.setattr(tasks, "_BATCH_FIRST_S", 0.0)
    monkeypatch.setattr(aiokafka.producer.sender, "create_task", tasks.create_task)
    return found


async def race(shop: Shop) -> list[ReplayOutcome]:
    """A form that is sent three times on each of three workers at once."""
    [offset] = await shop.put((b"ann", b"original", shop.said()))
    boxes = [shop.box() for _ in range(3)]
    tries = [box.replay(offset) for _ in range(3) for box in boxes]
    return await asyncio.gather(*tries)


async def test_forms_sent_twice_and_on_several_workers_send_a_letter_once_and_end_no_worker(
    shop: Shop, deaths: list[ExitCode]
):
    outcomes = await race(shop)
    assert outcomes.count(ReplayOutcome.SENT) <= 1  # 0: fenced after its commit, and tried again
    assert set(outcomes) <= {ReplayOutcome.SENT, ReplayOutcome.SENT_BEFORE}
    assert len(await shop.sent()) == 1
    assert deaths == []


async def test_control_with_tasks_that_must_last_a_fenced_replay_ends_the_worker(
    shop: Shop, deaths: list[ExitCode], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tasks, "is_replaceable", lambda: False)
    await race(shop)
    assert ExitCode.FENCED in deaths


async def test_while_kafka_is_away_the_letters_are_unavailable_and_the_reason_is_said(kafka: str):
    catalogue = Catalogue(partitions=1)
    nowhere = {"bootstrap_servers": "127.0.0.1:1"}
    box = Letters(nowhere, catalogue, Filling(nowhere, catalogue, QUICK))
    for ask in (box.page(9), box.letter(0), box.replay(0)):
        with pytest.raises(LettersUnavailable, match="Kafka does not answer"):
            await ask
    await box.stop()


@asynccontextmanager
async def longest_hold() -> AsyncIterator[list[float]]:
    """A list of one item: the most CPU seconds of this thread between two turns of the event loop."""
    found, ended = [0.0], False

    async def watch() -> None:
        while not ended:
            before = time.thread_time()
            await asyncio.sleep(0)
            found[0] = max(found[0], time.thread_time() - before)

    watching = asyncio.create_task(watch())
    yield found
    ended = True
    await watching


async def test_letters_of_1_mib_hold_the_loop_for_less_than_50_ms(shop: Shop):
    await shop.put_many(20, value=b"x" * MAX_VALUE_BYTES)
    box = shop.box(Bounds())
    async with longest_hold() as held:
        await eventually(lambda: box.page(200), lambda page: page.index.complete)
        assert await box.letter(3) is not None
        assert await box.replay(3) is ReplayOutcome.SENT
    assert held[0] < 0.05


async def test_thousands_of_letters_are_indexed_without_holding_the_loop(shop: Shop):
    await shop.put_many(3_000)
    box = shop.box(Bounds())
    async with longest_hold() as held:
        page = await eventually(lambda: box.page(200), lambda page: not page.index.reading)
    assert (page.index.letters, page.index.complete) == (3_000, True)
    assert held[0] < 0.05

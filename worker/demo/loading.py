"""Sends the sample and waits for its outcomes among the published events.

Rules:
- Only messages without an outcome are sent. So a second demo sends nothing, and an interrupted one sends the rest. A
  message that is sent twice changes nothing, because its id is the same.
- Orders go out when their customers are registered. Payments go before orders, so an order with an outcome has its
  payment on the topic.
- The stories are told after the sample, chapter by chapter. A chapter of which nothing is missing is not told again.
- Waiting also ends when nothing has arrived for a while, not only when everything has.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import date

import msgspec
from aiokafka import AIOKafkaProducer, ConsumerRecord

from worker.demo import messages
from worker.demo.messages import Message
from worker.demo.purchases import Purchase
from worker.demo.stories import Chapter
from worker.demo.tally import Tally
from worker.kafka.reader import TopicReader
from worker.kafka.topics import Catalogue, Topic

NOTHING_NEW_S = 60.0


class SampleNotLoaded(Exception):
    """The sample could not be loaded; the text says what is missing."""


class SampleLoader:
    """Brings the tally to completion.

    Args:
        topics: the catalogue of topics.
        reader: at the start of the events and results topics.
        tally: counts the outcomes.
        purchases: the sample.
        on_progress: called after each batch of outcomes.
        chapters: the stories.
        patience_s: seconds without news after which loading gives up.
    """

    def __init__(
        self,
        topics: Catalogue,
        reader: TopicReader,
        tally: Tally,
        purchases: Sequence[Purchase],
        on_progress: Callable[[], None],
        chapters: Sequence[Chapter] = (),
        patience_s: float = NOTHING_NEW_S,
    ) -> None:
        self._topics = topics
        self._reader = reader
        self._tally = tally
        self._purchases = purchases
        self._on_progress = on_progress
        self._chapters = chapters
        self._untold = {step.outcome for chapter in chapters for step in chapter} - {None}
        self._patience_s = patience_s
        self._registrations = {messages.registration_id(purchase.customer) for purchase in purchases}

    async def catch_up(self) -> None:
        """Count the outcomes of earlier runs."""
        async for records in self._reader.to_the_end():
            self._take(records)
        self._on_progress()

    async def load(self, producer: AIOKafkaProducer) -> None:
        """Send what is missing and wait until it is counted. Raises SampleNotLoaded."""
        await self._register(producer)
        await self._until(lambda: not self._tally.missing_customers)
        await self._buy(producer)
        await self._until(lambda: self._tally.complete)
        for chapter in self._chapters:
            await self._tell(producer, chapter)

    async def _tell(self, producer: AIOKafkaProducer, chapter: Chapter) -> None:
        outcomes = {step.outcome for step in chapter} - {None}
        if self._untold.isdisjoint(outcomes):
            return
        for step in chapter:
            await send_all(producer, step.topic, [step.message])
        await self._until(lambda: self._untold.isdisjoint(outcomes))

    async def _register(self, producer: AIOKafkaProducer) -> None:
        first_days: dict[int, date] = {}
        for purchase in self._purchases:
            day = first_days.get(purchase.customer, purchase.day)
            first_days[purchase.customer] = min(day, purchase.day)
        missing = self._tally.missing_customers
        new = [number for number in first_days if messages.customer_id(number) in missing]
        await send_all(
            producer,
            self._topics.commands,
            (messages.registration(number, first_days[number]) for number in new),
        )

    async def _buy(self, producer: AIOKafkaProducer) -> None:
        missing = self._tally.missing_orders
        new = [purchase for purchase in self._purchases if messages.order_id(purchase) in missing]
        new.sort(key=lambda purchase: purchase.day)
        await send_all(producer, self._topics.payments, map(messages.payment, new))
        await send_all(producer, self._topics.orders, map(messages.order, new))

    async def _until(self, done: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        last_news = loop.time()
        if done():
            return
        async for records in self._reader.follow():
            self._take(records)
            if done():
                return
            if records:
                last_news = loop.time()
                self._on_progress()
            elif loop.time() - last_news > self._patience_s:
                raise SampleNotLoaded(
                    f"Nothing came for {self._patience_s:.0f} s, and {self._missing()} are still missing."
                )

    def _take(self, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            if record.topic == self._topics.events.name:
                self._tally.add(record.value)
                if self._untold:
                    self._untold.discard(_decode_cause(record.value).id)
            else:
                result = _decode_result(record.value)
                self._untold.discard(result.command_id)
                self._check(result)

    def _check(self, result: "_Result") -> None:
        if result.outcome == "APPLIED" or result.command_id not in self._registrations:
            return
        if result.code == "CUSTOMER_ALREADY_EXISTS":
            raise SampleNotLoaded(
                "The sample was loaded so long ago that its events are gone; use another DATA_DIR."
            )
        raise SampleNotLoaded(f"{result.customer_id} could not be registered: {result.code}.")

    def _missing(self) -> str:
        customers, orders = len(self._tally.missing_customers), len(self._tally.missing_orders)
        return f"{customers} customers, {orders} orders and {len(self._untold)} steps of stories"


async def send_all(producer: AIOKafkaProducer, topic: Topic, sent: Iterable[Message]) -> None:
    """Send the messages in order and wait until all are acknowledged."""
    acknowledged = [await producer.send(topic.name, value, key=key) for key, value in sent]
    for each in acknowledged:
        await each


class _Result(msgspec.Struct, rename="camel"):
    command_id: str
    customer_id: str
    outcome: str
    code: str | None = None


class _Cause(msgspec.Struct):
    id: str = msgspec.field(name="causationid", default="")


_decode_cause: Callable[[bytes], _Cause] = msgspec.json.Decoder(_Cause).decode
_decode_result: Callable[[bytes], _Result] = msgspec.json.Decoder(_Result).decode

"""Sending the sample and waiting for what comes of it.

Rules:
- Only what has no outcome among the published events is sent, so a second demo sends nothing, and one that was
  interrupted sends the rest. A message that is sent twice all the same changes nothing: its id is the same.
- Orders go out when their customers are registered. Payments go before orders, so an order with an outcome has its
  payment on the topic.
- Waiting ends when nothing has come for a while, never only when everything has.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import date

import msgspec
from aiokafka import AIOKafkaProducer, ConsumerRecord

from worker.demo import messages
from worker.demo.messages import Message
from worker.demo.purchases import Purchase
from worker.demo.tally import Tally
from worker.topic_reader import TopicReader
from worker.topics import Catalogue, Topic

NOTHING_NEW_S = 60.0


class SampleNotLoaded(Exception):
    """The sample could not be loaded; the text says what is missing."""


class SampleLoader:
    """Brings the tally to completion.

    reader: at the start of the events and results topics. on_progress: called after each batch of outcomes.
    """

    def __init__(
        self,
        topics: Catalogue,
        reader: TopicReader,
        tally: Tally,
        purchases: Sequence[Purchase],
        on_progress: Callable[[], None],
    ) -> None:
        self._topics = topics
        self._reader = reader
        self._tally = tally
        self._purchases = purchases
        self._on_progress = on_progress
        self._registrations = {messages.registration_id(purchase.customer) for purchase in purchases}

    async def catch_up(self) -> None:
        """Add up what earlier runs have left."""
        async for records in self._reader.to_the_end():
            self._take(records)
        self._on_progress()

    async def load(self, producer: AIOKafkaProducer) -> None:
        """Send what is missing and wait until it is counted. Raises SampleNotLoaded."""
        await self._register(producer)
        await self._until(lambda: not self._tally.missing_customers)
        await self._buy(producer)
        await self._until(lambda: self._tally.complete)

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
            elif loop.time() - last_news > NOTHING_NEW_S:
                raise SampleNotLoaded(
                    f"Nothing came for {NOTHING_NEW_S:.0f} s, and {self._missing()} are still missing."
                )

    def _take(self, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            if record.topic == self._topics.events.name:
                self._tally.add(record.value)
            else:
                self._check(_decode_result(record.value))

    def _check(self, result: "_Result") -> None:
        if result.outcome == "APPLIED" or result.command_id not in self._registrations:
            return
        if result.code == "CUSTOMER_ALREADY_EXISTS":
            raise SampleNotLoaded(
                "The sample was loaded so long ago that its events are gone; use another DATA_DIR."
            )
        raise SampleNotLoaded(f"{result.customer_id} could not be registered: {result.code}.")

    def _missing(self) -> str:
        return f"{len(self._tally.missing_customers)} customers and {len(self._tally.missing_orders)} orders"


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


_decode_result: Callable[[bytes], _Result] = msgspec.json.Decoder(_Result).decode

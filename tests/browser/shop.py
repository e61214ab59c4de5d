"""The customers, dead letters and board that the browser looks at: the demo's stories, and what is hard to show."""

from collections import Counter
from collections.abc import Callable
from math import sin

from msgspec.structs import replace

from tests.api.in_memory import World
from tests.api.letters import a_board, a_letter
from tests.domain.given import at
from worker.board import POINT_EVERY_S, POINTS, Board, CustomerCounts, Point, PublishedEvent
from worker.demo import messages, stories
from worker.demo.messages import Message
from worker.domain.messages import OrderCompleted, OrderReturned, PaymentCompleted
from worker.domain.rejections import DeadLettered
from worker.domain.values import LEVELS
from worker.kafka.topics import Catalogue, Topic
from worker.wire.commands import decode_command
from worker.wire.inputs import decode_order, decode_payment, decode_return

LONG_NAME = "long-name"
LONG_ID = "0" * 40 + "-an-id-of-one-hundred-characters-" + "9" * 27
BUSY = "busy"
NEW = "new-and-empty"
ENTRIES = 1_000
FIRST_ODD_LETTER = 5
NIGHT = at("2026-06-30")

_EVENTS = ("RewardPointsEarnedEvent", "CustomerSpendingUpdatedEvent", "MembershipLevelUpgradedEvent")
_TOPICS = Catalogue()
_LATER_MS = 1_140


def filled() -> World:
    """A world with all of it."""
    world = World()
    for chapter in stories.chapters(_TOPICS):
        for step in chapter:
            _tell(world, step.topic, step.message)
    _register(
        world, LONG_NAME, "Wolfeschlegelsteinhausenbergerdorff " * 2 + "von und zu Hohenlohe-Oe", LONG_NAME
    )
    _register(world, LONG_ID, "Id Long", "long-id")
    _register(world, NEW, "Zoe New", "zoe.new")
    _register(world, BUSY, "Bea Busy", "bea.busy")
    for number in range(1, ENTRIES):
        world.now = at("2025-08-01") + number * 7 * 3_600_000
        world.order(BUSY, f"o-{number:04}", 1_000 + number * 37 % 9_000, world.now)
    _more_letters(world)
    world.now = NIGHT
    return world


def board(world: World) -> Board:
    """A board as one of two workers of a busy shop with these customers would show it."""
    usual = a_board()
    count = Counter(letter.entry.reason for letter in world.letters.letters.values())
    ids = sorted(world.customers)
    here, there = "http://10.0.0.11:6066", "http://10.0.0.12:6066"
    points = tuple(_point(number) for number in range(POINTS))
    return replace(
        usual,
        at=NIGHT,
        started_at=NIGHT - 7_200_000,
        url=here,
        now=points[-1],
        points=points,
        customers=CustomerCounts(dict(zip(LEVELS, (18_204, 3_117, 842, 96), strict=True)), 31, ()),
        dead_letters=dict.fromkeys(usual.dead_letters, 0) | count,
        last_events=tuple(
            PublishedEvent(_EVENTS[n % 3], ids[n * 3 % len(ids)], f"2026-06-30T11:59:{59 - n:02}.000Z")
            for n in range(20)
        ),
        partitions=tuple(replace(each, owner_url=here if each.here else there) for each in usual.partitions),
        members=tuple(replace(usual.members[0], url=url) for url in (here, there)),
    )


def _point(number: int) -> Point:
    """One of the last 15 minutes; a wave with some unrest."""
    unrest = number * 7919 % 31 / 31
    rate = 900 + 260 * sin(number / 24) + 90 * unrest
    p50 = 11 + 2 * unrest + sin(number / 9)
    lag = round(12 * unrest + (260 if 96 <= number < 104 else 0))
    at_ms = NIGHT - (POINTS - number) * POINT_EVERY_S * 1_000
    return Point(at_ms, rate, rate * 2.1, lag, p50, p50 * (2.6 + 0.4 * unrest))


def _register(world: World, customer_id: str, name: str, mail: str) -> None:
    data = {"name": name, "email": f"{mail}@example.com"}
    issued = "2025-08-01T08:00:00Z"
    message = messages.command(f"register-{customer_id}"[:100], "RegisterCustomer", customer_id, issued, data)
    _tell(world, _TOPICS.commands, message)


def _tell(world: World, topic: Topic, message: Message) -> None:
    """Process one message, as a worker does a moment after it happened."""
    if topic == _TOPICS.commands:
        received = decode_command(message.value, [])
        world.now = (received.command.issued_at if received.command else world.now) + _LATER_MS
        world.take(received)
        result = world.results[received.customer_id, received.command_id][1]
        assert result.outcome == "APPLIED", (received.command_id, result.code)
        return
    try:
        event = _DECODERS[topic.name](message.value, [])
        world.now = event.occurred_at + _LATER_MS
        world.receive(event)
    except DeadLettered as dead:
        key = message.key.decode()
        _letter(world, message.value, dead, topic, key if key in world.customers else None)


_Event = OrderCompleted | OrderReturned | PaymentCompleted
_DECODERS: dict[str, Callable[..., _Event]] = {
    _TOPICS.orders.name: decode_order,
    _TOPICS.returns.name: decode_return,
    _TOPICS.payments.name: decode_payment,
}


def _letter(world: World, value: bytes, dead: DeadLettered, topic: Topic, customer_id: str | None) -> None:
    number = len(world.letters.letters)
    world.letters.put(
        a_letter(
            number,
            value,
            reason=dead.reason.value,
            detail=dead.detail,
            topic=topic.name,
            customer_id=customer_id,
            headers=(("content-type", b"application/json"),),
        )
    )


def _more_letters(world: World) -> None:
    """Letters that are hard to show: bytes that are no text, a hash only, and a long one."""
    first = len(world.letters.letters)
    assert first == FIRST_ODD_LETTER
    world.letters.put(
        a_letter(first, bytes(range(256)) * 3, reason="UNDECODABLE", detail="not JSON", customer_id=None),
        a_letter(first + 1, b"9f" * 32, detail="data.label: card_number", only_hash=True),
        a_letter(
            first + 2,
            b'{"note":"%s"}' % (b"x" * 20_000),
            reason="UNKNOWN_TYPE",
            detail=f"type: {'unknown_' * 20}",
            customer_id=LONG_ID,
            headers=(("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),),
        ),
    )

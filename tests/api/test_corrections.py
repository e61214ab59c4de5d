"""Cancelling redemptions and adjusting points over HTTP, and who is named for it."""

from hashlib import sha256
from typing import Any

from tests.api.conftest import CUSTOMERS, Client, Serve, problem, registered
from tests.api.in_memory import InMemoryGateway, World
from tests.api.tokens import SECRET, bearer
from worker.domain.state import Customer

CANCEL = {"reason": "order failed"}
ADJUST = {"points": 7, "reason": "goodwill", "adjustmentId": "a-1"}


async def with_points(client: Client, world: World, points: int = 10) -> str:
    """The path of the reward points of a new customer who has so many."""
    customer_id = await registered(client)
    world.order(customer_id, "o-1", points * 1_000)
    return f"{CUSTOMERS}/{customer_id}/reward-points"


async def redeem(client: Client, path: str, redemption_id: str = "r-1", points: int = 4) -> Any:
    body = {"points": points, "reason": "voucher", "redemptionId": redemption_id, "orderId": "o-9"}
    return await client.post(f"{path}/redemptions", json=body)


async def test_a_cancelled_redemption_gives_its_points_back_once(client: Client, world: World) -> None:
    path = await with_points(client, world)
    await redeem(client, path)
    cancellation = f"{path}/redemptions/r-1/cancellation"
    answers = [await client.post(cancellation, json=CANCEL) for _ in range(2)]
    assert [(answer.status, answer.headers["ETag"]) for answer in answers] == [(200, '"4"')] * 2
    points = await answers[1].json()
    assert (points["balance"], points["lifetimeRedeemed"], points["lifetimeRestored"]) == (10, 4, 4)
    [restored] = [line for line in points["ledger"] if line["type"] == "RESTORE"]
    assert (restored["points"], restored["redemptionId"], restored["adjustmentId"]) == (4, "r-1", None)
    await problem(await redeem(client, path), 422, "IDEMPOTENCY_CONFLICT")


async def test_an_unknown_redemption_is_not_found(client: Client, world: World) -> None:
    path = await with_points(client, world)
    answer = await client.post(f"{path}/redemptions/none/cancellation", json=CANCEL)
    await problem(answer, 404, "REDEMPTION_NOT_FOUND")
    nobody = await client.post(f"{CUSTOMERS}/nobody/reward-points/redemptions/r/cancellation", json=CANCEL)
    await problem(nobody, 404, "CUSTOMER_NOT_FOUND")


async def test_a_cancellation_takes_its_reason_and_nothing_else(client: Client, world: World) -> None:
    path = await with_points(client, world)
    await redeem(client, path)
    for body, error in (
        ({}, ("reason", "required")),
        ({"reason": ""}, ("reason", "too_short")),
        ({**CANCEL, "redemptionId": "r-1"}, ("redemptionId", "unknown_field")),
        ({**CANCEL, "points": 4}, ("points", "unknown_field")),
    ):
        answer = await client.post(f"{path}/redemptions/r-1/cancellation", json=body)
        document = await problem(answer, 400, "VALIDATION_FAILED")
        assert [(each["field"], each["code"]) for each in document["errors"]] == [error]


async def test_points_are_adjusted_up_and_down_once_per_adjustment(client: Client, world: World) -> None:
    path = await with_points(client, world)
    adjustments = f"{path}/adjustments"
    answers = [await client.post(adjustments, json=ADJUST) for _ in range(2)]
    assert [(answer.status, answer.headers["ETag"]) for answer in answers] == [(201, '"3"')] * 2
    down = await client.post(adjustments, json={**ADJUST, "points": -17, "adjustmentId": "a-2"})
    points = await down.json()
    assert (points["balance"], points["lifetimeEarned"], points["lifetimeAdjusted"]) == (0, 10, -10)
    moved = {line["adjustmentId"]: line["points"] for line in points["ledger"] if line["type"] == "ADJUST"}
    assert moved == {"a-1": 7, "a-2": -17}
    too_much = await client.post(adjustments, json={**ADJUST, "points": -1, "adjustmentId": "a-3"})
    await problem(too_much, 409, "INSUFFICIENT_POINTS")
    await problem(await client.post(adjustments, json={**ADJUST, "points": 8}), 422, "IDEMPOTENCY_CONFLICT")
    stale = await client.post(
        adjustments, json={**ADJUST, "adjustmentId": "a-4"}, headers={"If-Match": '"1"'}
    )
    await problem(stale, 412, "VERSION_CONFLICT")


async def test_an_adjustment_is_a_whole_number_of_points_that_is_not_zero(
    client: Client, world: World
) -> None:
    path = await with_points(client, world)
    for points in (0, 1_000_001, -1_000_001, 1.5, "7", None, True):
        answer = await client.post(f"{path}/adjustments", json={**ADJUST, "points": points})
        document = await problem(answer, 400, "VALIDATION_FAILED")
        assert [each["field"] for each in document["errors"]] == ["points"]
    assert len(world.records) == 1


async def test_an_erased_customers_points_cannot_be_put_right(client: Client, world: World) -> None:
    path = await with_points(client, world)
    await redeem(client, path)
    await client.delete(path.removesuffix("/reward-points"))
    cancelled = await client.post(f"{path}/redemptions/r-1/cancellation", json=CANCEL)
    await problem(cancelled, 410, "CUSTOMER_ERASED")
    await problem(await client.post(f"{path}/adjustments", json=ADJUST), 410, "CUSTOMER_ERASED")


async def test_a_worker_that_does_not_own_the_customer_passes_it_on(serve: Serve, world: World) -> None:
    first, second = InMemoryGateway(world), InMemoryGateway(world)
    away, home = await serve(gateway=first), await serve(gateway=second)
    second.own()
    path = await with_points(home, world)
    await redeem(away, path)
    cancelled = await away.post(f"{path}/redemptions/r-1/cancellation", json=CANCEL)
    adjusted = await away.post(f"{path}/adjustments", json=ADJUST)
    assert (cancelled.status, adjusted.status) == (200, 201)
    assert (await adjusted.json())["balance"] == 17


ACTORS = {
    "support-7": "support-7",
    "x" * 100: "x" * 100,
    "": None,
    "ann@example.com": sha256(b"ann@example.com").hexdigest()[:16],
    "x" * 101: sha256(b"x" * 101).hexdigest()[:16],
    "a\nb": sha256(b"a\nb").hexdigest()[:16],
}


async def test_the_tokens_subject_gives_the_command(serve: Serve, world: World) -> None:
    first, second = InMemoryGateway(world), InMemoryGateway(world)
    away = await serve(gateway=first, auth_jwt_secret=SECRET)
    await serve(gateway=second, auth_jwt_secret=SECRET)
    second.own()
    world.customers["c"] = Customer(id="c", name="Ann Lee", email="c@example.com", version=1)
    for subject, actor in ACTORS.items():
        answer = await away.post(
            f"{CUSTOMERS}/c/reward-points/adjustments", json=ADJUST, headers=bearer(sub=subject)
        )
        assert answer.status == 201
        assert world.records[-1]["received"].command.actor == actor


async def test_while_http_is_open_nobody_is_named(client: Client, world: World) -> None:
    await registered(client)
    assert world.records[-1]["received"].command.actor is None


async def test_the_document_asks_for_the_reason_alone(client: Client) -> None:
    schemas = (await (await client.get("/openapi.json")).json())["components"]["schemas"]
    assert list(schemas["CancelRedemptionRequest"]["properties"]) == ["reason"]
    assert schemas["CancelRedemptionRequest"]["required"] == ["reason"]
    assert schemas["AdjustPointsRequest"]["required"] == ["points", "reason", "adjustmentId"]

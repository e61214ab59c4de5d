"""Who may do what."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from api.app import build
from api.auth import Access
from api.desk.routes import PAGES
from api.endpoints import CUSTOMER_OPERATIONS, METRICS, PAGE_OPERATIONS, Operation
from tests.api.conftest import ANN, CUSTOMERS, Client, Serve, problem
from tests.api.in_memory import RULES, InMemoryGateway, World
from tests.api.tokens import RSA_KEY, SECRET, bearer, token, unsigned
from worker.domain.state import Customer
from worker.settings import Settings

BODIES: dict[str, Any] = {
    "registerCustomer": {**ANN, "email": "new@example.com"},
    "updateProfile": ANN,
    "changeStatus": {"newStatus": "INACTIVE", "reason": "x"},
    "upgradeMembership": {"newLevel": "GOLD", "reason": "x"},
    "updatePreferences": {"marketingEmails": True},
    "addDeliveryAddress": {"street": "1 Main St", "city": "X", "zipCode": "1", "country": "US"},
    "redeemPoints": {"points": 1, "reason": "x", "redemptionId": "r"},
    "cancelRedemption": {"reason": "x"},
    "adjustPoints": {"points": 1, "reason": "x", "adjustmentId": "a"},
    "addPaymentMethod": {"type": "GIFT_CARD", "last4": "1234"},
}
# The token's scope that is one too little for a route.
TOO_LITTLE = {Access.READ: "customers:write", Access.WRITE: "customers:read", Access.ADMIN: "customers:write"}


@pytest.fixture
async def guarded(world: World, serve: Serve) -> Client:
    """A worker that asks for tokens, with the customers `mine` and `other`."""
    for name in ("mine", "other"):
        world.customers[name] = Customer(id=name, name="Ann Lee", email=f"{name}@example.com", version=1)
    gateway = InMemoryGateway(world)
    gateway.own()
    return await serve(gateway=gateway, auth_jwt_secret=SECRET)


async def ask(client: Client, operation: Operation, customer: str, headers: dict[str, str]) -> Any:
    ids = {"addressId": "a", "paymentMethodId": "p", "redemptionId": "r", "commandId": "c"}
    path = operation.path.format(customerId=customer, **ids)
    return await client.request(
        operation.method,
        path,
        params={"email": "mine@example.com"} if "email" in operation.query else None,
        json=BODIES.get(operation.name),
        headers=headers,
    )


REFUSED: dict[str, tuple[int, Callable[[Access], str | None]]] = {
    "no token": (401, lambda access: None),
    "another scheme": (401, lambda access: "Basic YTpi"),
    "nonsense": (401, lambda access: "Bearer a.b.c"),
    "no text": (401, lambda access: "Bearer "),
    "too long": (401, lambda access: f"Bearer {'x' * 8_001}"),
    "wrong signature": (401, lambda access: f"Bearer {token(key='x' * 40)}"),
    "expired": (401, lambda access: f"Bearer {token(exp=int(time.time()) - 31)}"),
    "not yet valid": (401, lambda access: f"Bearer {token(nbf=int(time.time()) + 60)}"),
    "alg none": (401, lambda access: f"Bearer {unsigned('customers:admin')}"),
    "another algorithm": (401, lambda access: f"Bearer {token(alg='HS512')}"),
    "signed with RSA": (401, lambda access: f"Bearer {token(key=RSA_KEY, alg='RS256')}"),
    "no exp": (401, lambda access: f"Bearer {token(exp=None)}"),
    "exp that is no number": (401, lambda access: f"Bearer {token(exp='soon')}"),
    "no scope": (401, lambda access: f"Bearer {token(None)}"),
    "scope that is no text": (401, lambda access: f"Bearer {token(scope=['customers:admin'])}"),
    "customer_id that is no text": (401, lambda access: f"Bearer {token(customer_id=7)}"),
    "missing scope": (403, lambda access: f"Bearer {token(TOO_LITTLE[access])}"),
    "empty scope": (403, lambda access: f"Bearer {token('')}"),
    "other customer": (
        403,
        lambda access: f"Bearer {token('customers:read customers:write', customer_id='mine')}",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_every_route_refuses_and_tells_nothing(guarded: Client, world: World, case: str) -> None:
    status, authorization = REFUSED[case]
    for operation in CUSTOMER_OPERATIONS:
        header = authorization(operation.access)
        answer = await ask(guarded, operation, "other", {} if header is None else {"Authorization": header})
        text = json.dumps(await problem(answer, status, "UNAUTHENTICATED" if status == 401 else "FORBIDDEN"))
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
        assert "Ann" not in text
        assert "@" not in text
        assert "ETag" not in answer.headers
    assert not world.records


async def test_every_route_is_open_to_enough_scope(guarded: Client) -> None:
    for operation in CUSTOMER_OPERATIONS:
        answer = await ask(guarded, operation, "mine", bearer(operation.access.value))
        assert answer.status not in (401, 403, 500), operation.name


async def test_admin_includes_reading_and_writing(guarded: Client) -> None:
    assert (await guarded.get(f"{CUSTOMERS}/mine", headers=bearer("openid customers:admin"))).status == 200
    assert (await guarded.put(f"{CUSTOMERS}/mine", json=ANN, headers=bearer())).status == 200


async def test_a_customers_own_token_reaches_that_customer_alone(guarded: Client) -> None:
    own = bearer("customers:read customers:write", customer_id="mine")
    assert (await guarded.get(f"{CUSTOMERS}/mine", headers=own)).status == 200
    await problem(await guarded.get(f"{CUSTOMERS}/other", headers=own), 403, "FORBIDDEN")
    await problem(await guarded.get(f"{CUSTOMERS}/nobody", headers=own), 403, "FORBIDDEN")
    await problem(await guarded.post(CUSTOMERS, json=ANN, headers=own), 403, "FORBIDDEN")


async def test_a_customers_own_token_with_admin_reaches_all(guarded: Client) -> None:
    both = bearer("customers:admin", customer_id="mine")
    assert (await guarded.get(f"{CUSTOMERS}/other", headers=both)).status == 200
    assert (await guarded.post(CUSTOMERS, json=ANN, headers=both)).status == 201


async def test_a_token_is_refused_once_it_has_expired(guarded: Client) -> None:
    soon = bearer(exp=int(time.time()) - 28)  # 30 s are given to clocks that differ
    assert (await guarded.get(f"{CUSTOMERS}/mine", headers=soon)).status == 200
    await asyncio.sleep(2.1)  # it counts whole seconds
    await problem(await guarded.get(f"{CUSTOMERS}/mine", headers=soon), 401, "UNAUTHENTICATED")


async def test_two_subjects_with_one_key_make_two_commands(guarded: Client, world: World) -> None:
    for subject in ("a", "b"):
        headers = {**bearer(sub=subject), "Idempotency-Key": "k"}
        await guarded.put(f"{CUSTOMERS}/mine/preferences", json={"language": "de"}, headers=headers)
    first, second = world.records
    assert first["received"].command_id != second["received"].command_id


async def test_health_metrics_and_documentation_need_no_token(guarded: Client) -> None:
    for operation in (*PAGE_OPERATIONS, METRICS):
        assert (await guarded.get(operation.path.replace("{file}", "topics"))).status == 200


async def test_audience_and_issuer_are_checked_where_configured(world: World, serve: Serve) -> None:
    gateway = InMemoryGateway(world)
    gateway.own()
    client = await serve(
        gateway=gateway, auth_jwt_secret=SECRET, auth_audience="shop", auth_issuer="https://id"
    )
    path = f"{CUSTOMERS}/nobody"
    good = {"aud": ["shop", "x"], "iss": "https://id"}
    await problem(await client.get(path, headers=bearer(**good)), 404, "CUSTOMER_NOT_FOUND")
    for bad in ({"aud": "x"}, {"aud": None}, {"iss": "https://other"}, {"iss": None}):
        await problem(await client.get(path, headers=bearer(**{**good, **bad})), 401, "UNAUTHENTICATED")


OPEN_ON_THE_DESK = {"/desk/login", "/desk/logout", "/desk/files/{file}"}


def test_every_route_of_the_application_has_a_rule(world: World) -> None:
    parts = build(Settings(), InMemoryGateway(world), RULES)
    ruled: dict[tuple[str, str], Access] = {
        (each.method, each.path): each.access for each in parts.operations
    }
    ruled |= {(page.method, page.path): page.access for page in PAGES}
    ruled["GET", "/"] = Access.OPEN  # it only leads on
    for route in parts.application().router.routes():
        resource = route.resource
        assert resource is not None
        method = "GET" if route.method == "HEAD" else route.method
        access = ruled[method, resource.canonical]
        guarded = (
            resource.canonical.startswith(("/api/", "/desk")) and resource.canonical not in OPEN_ON_THE_DESK
        )
        assert (access is not Access.OPEN) == guarded, resource.canonical


def test_the_rules_are_the_contracts() -> None:
    admin = {"findCustomer", "changeStatus", "upgradeMembership", "adjustPoints", "eraseCustomer"}
    for operation in CUSTOMER_OPERATIONS:
        usual = Access.READ if operation.method == "GET" else Access.WRITE
        assert operation.access is (Access.ADMIN if operation.name in admin else usual), operation.name

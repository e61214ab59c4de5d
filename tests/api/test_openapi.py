"""The OpenAPI document says what the code does."""

import json
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api import problems
from api.app import build
from tests.api.conftest import Client, Serve
from tests.api.in_memory import InMemoryGateway, World
from tests.api.tokens import SECRET
from worker.settings import Settings


@pytest.fixture
async def document(client: Client) -> dict[str, Any]:
    return dict(await (await client.get("/openapi.json")).json())


async def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


async def test_every_operation_of_the_worker_is_described_once(
    document: dict[str, Any], world: World
) -> None:
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    served = build(Settings(), InMemoryGateway(world), "USD").operations
    assert described == {(each.method, each.path) for each in served}
    names = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(names) == len(set(names))


async def test_requests_are_closed_and_answers_complete(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    profile = schemas["UpdateProfileRequest"]
    assert profile["additionalProperties"] is False
    assert profile["required"] == ["name", "email"]
    assert set(schemas["Customer"]["required"]) == set(schemas["Customer"]["properties"])
    assert "$ref" in json.dumps(schemas["Customer"])


async def test_a_worker_that_asks_for_tokens_says_so(serve: Serve) -> None:
    guarded = await serve(auth_jwt_secret=SECRET)
    document = await (await guarded.get("/openapi.json")).json()
    get = document["paths"]["/api/v1/customers/{customerId}"]["get"]
    assert get["security"] == [{"bearer": []}]
    assert {"401", "403"} <= set(get["responses"])
    assert "security" not in document["paths"]["/health/live"]["get"]
    OpenAPIV31SpecValidator(document).validate()


async def test_the_page_needs_nothing_from_elsewhere(client: Client) -> None:
    answer = await client.get("/docs")
    page = await answer.text()
    assert answer.content_type == "text/html"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "http://" not in page
    assert "https://" not in page


def test_the_table_of_statuses_is_the_contracts() -> None:
    contract = {
        400: {"VALIDATION_FAILED"},
        404: {"CUSTOMER_NOT_FOUND", "ADDRESS_NOT_FOUND", "PAYMENT_METHOD_NOT_FOUND"},
        409: {
            "CUSTOMER_ALREADY_EXISTS",
            "CUSTOMER_EMAIL_EXISTS",
            "STATUS_TRANSITION_NOT_ALLOWED",
            "CUSTOMER_NOT_ACTIVE",
            "ADDRESS_EXISTS",
            "ADDRESS_LIMIT_REACHED",
            "INSUFFICIENT_POINTS",
            "MEMBERSHIP_DOWNGRADE_NOT_ALLOWED",
        },
        410: {"CUSTOMER_ERASED"},
        412: {"VERSION_CONFLICT"},
        422: {"IDEMPOTENCY_CONFLICT"},
    }
    for status, codes in contract.items():
        for code in codes:
            assert problems.STATUS_OF_CODE[code] == status

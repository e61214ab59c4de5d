"""The OpenAPI document says what the code does."""

import json
import re
from typing import Any
from urllib.parse import urljoin

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from yarl import URL

from api import problems
from api.app import build
from tests.api.conftest import Client, Serve, registered
from tests.api.in_memory import RULES, InMemoryGateway, World
from tests.api.tokens import SECRET
from worker.domain.rejections import RejectionCode
from worker.settings import Settings
from worker.wire.command_models import COMMAND_MODELS


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
    served = build(Settings(), InMemoryGateway(world), RULES).operations
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
    assert document["paths"]["/health/live"]["get"]["security"] == []
    OpenAPIV31SpecValidator(document).validate()


async def test_a_worker_without_tokens_says_that_a_token_is_allowed(document: dict[str, Any]) -> None:
    get = document["paths"]["/api/v1/customers/{customerId}"]["get"]
    assert get["security"] == [{"bearer": []}, {}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


async def test_no_field_of_a_request_has_a_default_and_optional_ones_stay_optional(
    document: dict[str, Any],
) -> None:
    schemas = document["components"]["schemas"]
    assert '"default"' not in json.dumps(schemas)
    assert schemas["RegisterCustomerRequest"]["required"] == ["name", "email"]
    assert schemas["AddDeliveryAddressRequest"]["required"] == ["street", "city", "zipCode", "country"]


async def test_closed_sets_are_listed(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert set(schemas["Problem"]["properties"]["code"]["enum"]) == set(problems.STATUS_OF_CODE)
    result = schemas["CommandResult"]["properties"]
    assert result["outcome"]["enum"] == ["APPLIED", "REJECTED"]
    assert set(result["code"]["enum"]) == {code.value for code in RejectionCode}
    assert set(result["commandType"]["anyOf"][0]["enum"]) == set(COMMAND_MODELS)


async def test_an_entity_tag_has_one_spelling_in_all_answers(client: Client) -> None:
    customer_id = await registered(client)
    path = f"/api/v1/customers/{customer_id}"
    answers = [
        await client.get(path),
        await client.get(path, headers={"If-None-Match": '"1"'}),
        await client.get(f"{path}/reward-points"),
        await client.get("/api/v1/customers", params={"email": "ann@example.com"}),
        await client.put(path, json={"name": "Ann B", "email": "ann@example.com"}),
        await client.put(f"{path}/preferences", json={"language": "de"}),
        await client.delete(path),
    ]
    for answer in answers:
        assert b"ETag" in {name for name, _ in answer.raw_headers}


@pytest.mark.parametrize(("path", "loads"), [("/docs", 3), ("/docs/topics", 2)])
async def test_a_page_loads_from_its_own_host_alone_and_holds_no_script(
    client: Client, path: str, loads: int
) -> None:
    answer = await client.get(path)
    page = await answer.text()
    assert answer.content_type == "text/html"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "//" not in page
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count("<script src=")
    loaded = re.findall(r'(?:<script src|rel="stylesheet" href)="([^"]+)"', page)
    assert len(loaded) == loads
    for each in loaded:
        file = await client.get(urljoin(path, each))
        assert file.status == 200
        assert file.content_type == ("text/javascript" if each.endswith(".js") else "text/css")
        assert len(await file.read()) > 100


async def test_the_page_shows_the_document_with_swagger_ui_and_tells_no_validator(client: Client) -> None:
    start = await (await client.get("/docs/http.js")).text()
    assert 'url: "openapi.json"' in start
    assert "tryItOutEnabled: true" in start
    assert "validatorUrl: null" in start
    bundle = await (await client.get("/docs/swagger-ui-bundle.js")).text()
    assert "SwaggerUIBundle" in bundle
    assert "eval(" not in bundle  # the policy would not let it


async def test_a_file_that_is_none_of_the_pages_is_not_found(client: Client) -> None:
    for name in ("other.js", "http.html", "..%2F__init__.py", "%2e%2e"):
        answer = await client.get(URL(f"/docs/{name}", encoded=True))
        assert answer.status == 404


def test_the_table_of_statuses_is_the_contracts() -> None:
    contract = {
        400: {"VALIDATION_FAILED"},
        404: {
            "CUSTOMER_NOT_FOUND",
            "ADDRESS_NOT_FOUND",
            "PAYMENT_METHOD_NOT_FOUND",
            "REDEMPTION_NOT_FOUND",
        },
        409: {
            "CUSTOMER_ALREADY_EXISTS",
            "CUSTOMER_EMAIL_EXISTS",
            "STATUS_TRANSITION_NOT_ALLOWED",
            "CUSTOMER_NOT_ACTIVE",
            "ADDRESS_EXISTS",
            "ADDRESS_LIMIT_REACHED",
            "PAYMENT_METHOD_LIMIT_REACHED",
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


async def test_the_document_promises_only_headers_that_come(document: dict[str, Any], client: Client) -> None:
    def promised(path: str, method: str, status: int) -> set[str]:
        return set(document["paths"][path][method]["responses"][str(status)]["headers"])

    one = "/api/v1/customers/{customerId}"
    stale = {"Warning", "Age"}
    tagged = (one, "/api/v1/customers", f"{one}/reward-points")
    copied = (*tagged, f"{one}/reward-points/history", f"{one}/timeline", f"{one}/explanation")
    for path in copied:
        assert stale <= promised(path, "get", 200)
        assert ("ETag" in promised(path, "get", 200)) is (path in tagged)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                if not (method == "get" and path in copied and status in ("200", "410")):
                    assert not stale & set(answer["headers"]), (method, path, status)
    for path in ("/health/live", "/metrics", "/openapi.json", "/docs", f"{one}/commands/{{commandId}}"):
        assert "ETag" not in promised(path, "get", 200)
    customer_id = await registered(client)
    shown = await client.get(f"/api/v1/customers/{customer_id}")
    assert all(name in shown.headers for name in promised(one, "get", 200) - stale)
    points = {"points": 5, "reason": "late parcel", "adjustmentId": "a-1"}
    adjusted = await client.post(f"/api/v1/customers/{customer_id}/reward-points/adjustments", json=points)
    assert adjusted.status == 201
    assert "Location" not in adjusted.headers
    assert "Location" not in promised(f"{one}/reward-points/adjustments", "post", 201)
    health = await client.get("/health/live")
    assert promised("/health/live", "get", 200) <= set(health.headers)


async def test_a_host_that_is_not_ours_is_an_answer_of_open_workers_only(
    document: dict[str, Any], serve: Serve
) -> None:
    guarded = await (await (await serve(auth_jwt_secret=SECRET)).get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert "421" in operation["responses"]
            assert "421" not in guarded["paths"][path][method]["responses"]

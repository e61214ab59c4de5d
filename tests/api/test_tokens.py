"""Whatever a token says, the answer is 401 or what it allows, never an error of ours."""

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.tokens import BadToken, SharedSecret, Verifier
from tests.api.conftest import CUSTOMERS, Client, Serve, problem
from tests.api.in_memory import InMemoryGateway, World
from tests.api.tokens import SECRET, forged, token

NOW = int(time.time())
GOOD = {"exp": NOW + 86_400, "scope": "customers:read", "sub": "ann"}


@pytest.fixture
async def client(world: World, serve: Serve) -> Client:
    gateway = InMemoryGateway(world)
    gateway.own()
    return await serve(gateway=gateway, auth_jwt_secret=SECRET)


async def ask(client: Client, text: str) -> Any:
    return await client.get(f"{CUSTOMERS}/nobody", headers={"Authorization": f"Bearer {text}"})


def said(**claims: Any) -> str:
    return json.dumps({**GOOD, **claims})


TAKEN = {
    "as it should be": said(),
    "a time with a fraction": said(exp=NOW + 86_400.5, nbf=NOW - 0.5),
    "an audience that nobody asks for": said(aud=["a", "b"]),
    "claims that nobody knows": said(nested={"a": [1, None, {}]}, jti=7),
    "empty subject": said(sub=""),
}
REFUSED: dict[str, str | bytes] = {
    "exp of 400 digits": said().replace(str(GOOD["exp"]), "9" * 400),
    "exp of 5,000 digits": said().replace(str(GOOD["exp"]), "9" * 5_000),
    "exp without end": said().replace(str(GOOD["exp"]), "1e999"),
    "exp that is Infinity": said().replace(str(GOOD["exp"]), "Infinity"),
    "exp that is NaN": said().replace(str(GOOD["exp"]), "NaN"),
    "exp as text": said(exp=str(NOW + 86_400)),
    "exp as boolean": said(exp=True),
    "exp null": said(exp=None),
    "exp as list": said(exp=[NOW + 86_400]),
    "exp negative": said(exp=-1),
    "exp zero": said(exp=0),
    "exp in milliseconds": said(exp=NOW * 1000),
    "no exp": json.dumps({"scope": "customers:read"}),
    "no scope": json.dumps({"exp": NOW + 86_400}),
    "nbf as text": said(nbf=str(NOW)),
    "nbf as boolean": said(nbf=False),
    "nbf null": said(nbf=None),
    "nbf tomorrow": said(nbf=NOW + 86_400),
    "nbf of 400 digits": said(nbf=int("9" * 400)),
    "iat as text": said(iat="now"),
    "iat tomorrow": said(iat=NOW + 86_400),
    "iat negative": said(iat=-5),
    "scope as list": said(scope=["customers:read"]),
    "scope null": said(scope=None),
    "sub with half a surrogate pair": json.dumps(GOOD).replace("ann", "\\ud800"),
    "sub that is not UTF-8": json.dumps(GOOD).encode().replace(b"ann", b"\xff\xfe"),
    "sub as number": said(sub=7),
    "sub null": said(sub=None),
    "customer_id with half a surrogate pair": said(customer_id="x").replace('"x"', '"\\udfff"'),
    "customer_id null": said(customer_id=None),
    "customer_id empty": said(customer_id=""),
    "customer_id as list": said(customer_id=["nobody"]),
    "aud as number": said(aud=1),
    "aud with a number": said(aud=["a", 1]),
    "iss as list": said(iss=["a"]),
    "no object": "[]",
    "no JSON": "{",
    "nested too deeply": '{"a":' + "[" * 2_500 + "]" * 2_500 + "}",
    "empty": "",
}
HEADS: dict[str, str | bytes] = {
    "none": '{"alg":"none"}',
    "None": '{"alg":"None"}',
    "another": '{"alg":"HS384"}',
    "no algorithm": "{}",
    "algorithm as list": '{"alg":["HS256"]}',
    "crit": '{"alg":"HS256","crit":["exp"]}',
    "crit null": '{"alg":"HS256","crit":null}',
    "crit empty": '{"alg":"HS256","crit":[]}',
    "b64": '{"alg":"HS256","b64":false}',
    "kid as number": '{"alg":"HS256","kid":1}',
    "no JSON": "{",
    "no object": "[]",
    "not UTF-8": b'{"alg":"HS256","x":"\xff"}',
    "half a surrogate pair": '{"alg":"HS256","kid":"\\ud800"}',
    "nested too deeply": '{"alg":"HS256","x":' + "[" * 2_000 + "]" * 2_000 + "}",
}


@pytest.mark.parametrize("case", TAKEN)
async def test_a_token_in_order_is_taken(client: Client, case: str) -> None:
    await problem(await ask(client, forged(TAKEN[case])), 404, "CUSTOMER_NOT_FOUND")


@pytest.mark.parametrize("case", REFUSED)
async def test_a_token_that_says_something_odd_is_401(client: Client, case: str) -> None:
    answer = await ask(client, forged(REFUSED[case]))
    await problem(answer, 401, "UNAUTHENTICATED")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("case", HEADS)
async def test_a_token_with_an_odd_header_is_401(client: Client, case: str) -> None:
    await problem(await ask(client, forged(said(), head=HEADS[case])), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("claim", "seconds", "taken"),
    [
        ("exp", -27, True),
        ("exp", -31, False),
        ("nbf", 29, True),
        ("nbf", 33, False),
        ("iat", 29, True),
        ("iat", 33, False),
    ],
)
async def test_clocks_may_differ_by_30_seconds(client: Client, claim: str, seconds: int, taken: bool) -> None:
    answer = await ask(client, forged(said(**{claim: int(time.time()) + seconds})))
    assert answer.status == (404 if taken else 401)


async def test_two_tokens_are_none(client: Client) -> None:
    both = [("Authorization", f"Bearer {token()}"), ("Authorization", f"Bearer {token()}")]
    await problem(await client.get(f"{CUSTOMERS}/nobody", headers=both), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("text", ["ä.b.c", "..", "a.b.c.d", "a.b", "=.=.=", "a b c", "a.b.c\t", "\xa0"])
async def test_text_that_is_no_token_is_401(client: Client, text: str) -> None:
    await problem(await ask(client, text), 401, "UNAUTHENTICATED")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_names = ("exp", "nbf", "iat", "scope", "sub", "aud", "iss", "customer_id")
_odd = st.fixed_dictionaries({}, optional=dict.fromkeys(_names, _json))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    claims=st.one_of(_odd.map(lambda odd: json.dumps({**GOOD, **odd}).encode()), st.binary(max_size=200)),
    head=st.one_of(
        st.just(b'{"alg":"HS256"}'),
        st.dictionaries(st.sampled_from(["alg", "kid", "crit", "typ", "b64"]), _json).map(
            lambda head: json.dumps({"alg": "HS256", **head}).encode()
        ),
        st.binary(max_size=50),
    ),
)
def test_nothing_in_a_signed_token_raises_anything_else(claims: bytes, head: bytes) -> None:
    verifier = Verifier(SharedSecret(SECRET), "shop", "")
    try:
        taken = verifier.claims_of(forged(claims, head))
    except BadToken:
        return
    assert isinstance(taken.sub, str)
    taken.sub.encode()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=100) | st.text("abcAZ09_-.=", max_size=100))
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises(BadToken):
        Verifier(SharedSecret(SECRET), "", "").claims_of(text)

"""`python -m tests.native.fuzz`: many inputs to the codecs in C and to their Python forms, which must make the same of them.

Most are orders with damaged bytes, because those come from strangers; the rest is what the tests draw, more of it.
It ends with an error at the first difference, and prints the input.
"""

import argparse
import random
from collections.abc import Iterator

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.native.compared import COMPARED, USUAL_VALUES, Compared
from tests.native.libraries import library, using
from worker.domain.rejections import DeadLettered
from worker.native import Codecs
from worker.wire.inputs import decode_order, decode_orders

_TOGETHER = 250
_TOKENS = [
    *(bytes([byte]) for byte in b'{}[]",:\\\0\n -.0129eETZz\x7f\x80\xff'),
    *(b"null", b"true", b'"orderId":"x",', b'"more":', b"\\u0041", "é".encode(), b"[[", b"1e9", b"9" * 20),
]


def damaged(rng: random.Random) -> bytes:
    """A usual order with up to three bytes or pieces changed, inserted, dropped or repeated."""
    value = bytearray(rng.choice(USUAL_VALUES))
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(value) + 1)
        match rng.randrange(5):
            case 0:
                value[at : at + 1] = rng.choice(_TOKENS)
            case 1:
                value[at:at] = rng.choice(_TOKENS)
            case 2:
                del value[at : at + rng.randrange(1, 9)]
            case 3:
                value[at:at] = value[at : at + rng.randrange(1, 99)]
            case _:
                value[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(value)


def differences(codecs: Codecs, count: int, seed: int) -> Iterator[bytes]:
    """Damaged orders that C reads otherwise than Python. count: how many are tried."""
    rng = random.Random(seed)
    for _ in range(0, count, _TOGETHER):
        values = [damaged(rng) for _ in range(_TOGETHER)]
        with using(codecs):
            found = decode_orders(values)
        for value, order in zip(values, found, strict=True):
            if order is not None and order != _read_alone(value):
                yield value


def _read_alone(value: bytes) -> object:
    try:
        return decode_order(value, [])
    except DeadLettered as error:
        return error


def drawn(inputs: st.SearchStrategy[object], compared: Compared, count: int) -> None:
    """Compare both forms on so many drawn inputs. Raises AssertionError at a difference."""
    codecs = library()

    @settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(inputs)
    def same(each: object) -> None:
        assert compared(codecs, each) == compared(None, each)

    same()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.native.fuzz", description=__doc__)
    parser.add_argument("--damaged", type=int, default=1_000_000, help="damaged orders")
    parser.add_argument("--drawn", type=int, default=10_000, help="inputs of each kind that the tests draw")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9), help="of the damaged orders")
    given_ones = parser.parse_args()
    for value in differences(library(), given_ones.damaged, given_ones.seed):
        raise SystemExit(f"seed {given_ones.seed}: read otherwise: {value!r}")
    print(f"damaged orders: {given_ones.damaged:,}, no difference", flush=True)  # noqa: T201 - what it says
    for name, (inputs, compared) in COMPARED.items():
        drawn(inputs, compared, given_ones.drawn)
        print(f"{name}: {given_ones.drawn:,}, no difference", flush=True)  # noqa: T201 - what it says


if __name__ == "__main__":
    main()

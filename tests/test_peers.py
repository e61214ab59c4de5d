"""To which URLs a worker sends requests, and the tokens in them."""

import pytest

from worker.peers import Peers, split
from worker.settings import Settings

STATEFUL = "http://customer-context-0.workers.crm.svc:6066"

# This worker's URL → those of workers like it, and of others.
LIKE = {
    "http://127.0.0.1:6066": (
        [
            "http://127.0.0.1:6067",
            "http://localhost:1",
            "http://[::1]:80",
            "http://127.9.0.1",
            "http://LOCALHOST.:9",
        ],
        [
            "https://127.0.0.1:6067",
            "http://worker-1:6066",
            "http://10.0.0.1:6066",
            "http://localhost.evil.example",
        ],
    ),
    "http://worker-1:6066": (
        ["http://worker-1:6066", "http://worker-1:7000", "http://worker-2:6066", "http://WORKER_3:6066/"],
        [
            "http://worker-2:6067",
            "https://worker-2:6066",
            "http://worker-2",
            "http://localhost:6066",
            "http://127.0.0.1:6066",
            "http://2130706433:6066",
            "http://0x7f000001:6066",
            "http://evil.example:6066",
            "http://worker-2.:6066.evil.example",
        ],
    ),
    STATEFUL: (
        [
            STATEFUL,
            "http://customer-context-0.workers.crm.svc:1",
            "http://customer-context-12.workers.crm.svc:6066",
        ],
        [
            "http://customer-context-1.workers.crm.svc:6067",
            "https://customer-context-1.workers.crm.svc:6066",
            "http://customer-context-1.workers.other.svc:6066",
            "http://a.b.workers.crm.svc:6066",
            "http://workers.crm.svc:6066",
            "http://evil.workers.crm.svc.evil.example:6066",
            "http://evil:6066",
            "http://10.0.0.1:6066",
        ],
    ),
    "https://one.crm.example": (
        ["https://one.crm.example", "https://two.crm.example:443", "https://one.crm.example:8443"],
        [
            "http://two.crm.example",
            "https://two.crm.example:8443",
            "https://crm.example",
            "https://a.example",
        ],
    ),
    "https://shop.example": (
        ["https://shop.example:7000"],
        ["https://evil.example", "https://a.shop.example"],
    ),
    "https://shop.co.uk": (["https://shop.co.uk"], ["https://evil.co.uk", "https://co.uk"]),
    "https://one.shop.co.uk": (["https://two.shop.co.uk"], ["https://two.evil.co.uk"]),
    "http://10.1.2.3:6066": (
        ["http://10.1.2.4:6066", "http://10.1.2.3:7000", "http://[::ffff:10.1.2.9]:6066"],
        ["http://10.1.3.4:6066", "http://10.1.2.4:6067", "http://8.8.8.8:6066", "http://worker:6066"],
    ),
    "http://[fd00::1]:6066": (
        ["http://[fd00::2]:6066"],
        ["http://[fd00:0:0:1::2]:6066", "http://10.1.2.4:6066"],
    ),
}
NO_URL = [
    "",
    "x",
    "//worker-2:6066",
    "http://",
    "http://[::1",
    "http://worker-2:x",
    "ftp://worker-2",
    "http:\\\\worker-2",
]


@pytest.mark.parametrize("own", LIKE)
def test_by_default_an_owner_is_like_this_worker(own: str) -> None:
    peers, (taken, refused) = Peers(own, ""), LIKE[own]
    assert [url for url in taken if peers.base_of(url) is None] == []
    assert [url for url in refused if peers.base_of(url) is not None] == []


@pytest.mark.parametrize("own", LIKE)
def test_every_worker_accepts_itself(own: str) -> None:
    assert Peers(own, "").base_of(own) == own


@pytest.mark.parametrize("url", NO_URL)
@pytest.mark.parametrize("own", LIKE)
def test_what_is_no_url_is_no_owner(own: str, url: str) -> None:
    assert Peers(own, "").base_of(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://worker-2:6066@evil.example",
        "http://ann:secret@worker-2:6066",
        "http://worker-2:6066?x=http://evil.example",
        "http://worker-2:6066#@evil.example",
        "http://evil.example\\@worker-2:6066",
        "http://evil.example#.worker-2:6066",
    ],
)
def test_a_url_that_readers_could_read_in_two_ways_is_no_owner(url: str) -> None:
    assert Peers("http://worker-1:6066", "").base_of(url) is None


def test_the_base_is_what_was_checked() -> None:
    assert (
        Peers("http://worker-1:6066", "").base_of("http://WORKER-2:6066/crm/") == "http://worker-2:6066/crm"
    )


@pytest.mark.parametrize(
    ("patterns", "taken", "refused"),
    [
        (
            "https://*.crm.example",
            ["https://a.crm.example:443"],
            ["https://a.b.crm.example", "http://a.crm.example"],
        ),
        ("http://worker-*:6066", ["http://worker-9:6066"], ["http://worker-9:6067", "http://other:6066"]),
        ("http://10.0.*.*:*", ["http://10.0.9.1:1"], ["http://10.1.9.1:1", "http://10.0.9.1.evil.example:1"]),
        ("http://[fd00::1]:80", ["http://[fd00:0::1]"], ["http://[fd00::2]"]),
        ("http://a:1, https://b", ["http://a:1", "https://b"], ["http://b:1", "http://worker-1:6066"]),
    ],
)
def test_a_list_of_patterns_replaces_the_default(patterns: str, taken: list[str], refused: list[str]) -> None:
    peers = Peers("http://worker-1:6066", patterns)
    assert [url for url in taken if peers.base_of(url) is None] == []
    assert [url for url in refused if peers.base_of(url) is not None] == []


@pytest.mark.parametrize(
    "patterns",
    ["worker-1:6066", "*", "http://", "http://a b", "http://a/path", "ftp://a", "http://a,,", "http://[x]"],
)
def test_what_is_no_pattern_is_refused(patterns: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        split(patterns)
    with pytest.raises(ValueError, match="peer_urls"):
        Settings(peer_urls=patterns)


@pytest.mark.parametrize(
    "url", ["http://ann:secret@worker", "http://worker:x", "http://worker:0", "http://:80"]
)
def test_an_advertised_url_that_no_peer_would_take_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="give a URL such as"):
        Settings(advertised_url=url)


def test_the_processes_of_workers_on_other_hosts_are_owners_too() -> None:
    peers = Peers("http://worker-1:6066", "", processes=2)
    taken = [port for port in range(6060, 6075) if peers.base_of(f"http://worker-2:{port}")]
    assert taken == [6066, 6067, 6068]

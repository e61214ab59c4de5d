"""Several processes of one worker: any of them answers for all. Each has a gateway and servers of its own here."""

import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from api.app import build
from api.desk.visit import FORM_TOKEN
from tests.api.conftest import Client, problem
from tests.api.in_memory import RULES, InMemoryGateway, World
from worker.gateway import Readiness
from worker.processes.place import STATE_HOST, Place
from worker.settings import Settings

READY, METRICS = "/health/ready", "/metrics"
PROCESSES = 2
SECRET = b"the same"


class Process:
    """One process. state_url: where its siblings ask it."""

    def __init__(self, gateway: InMemoryGateway, place: Place, state: socket.socket) -> None:
        self.gateway = gateway
        self.state_url = f"http://{STATE_HOST}:{state.getsockname()[1]}"
        self._parts = build(Settings(), gateway, RULES, place=place)
        self._state = state
        self._asked = web.AppRunner(self._parts.state_application())
        self.client: Client

    async def start(self, running: AsyncExitStack) -> None:
        """Serve the API and the state until `running` ends."""
        server = TestServer(self._parts.application(), handler_cancellation=False)
        self.client = await running.enter_async_context(TestClient(server))
        await self._asked.setup()
        running.push_async_callback(self._asked.cleanup)
        await web.SockSite(self._asked, self._state.dup()).start()

    async def fall_silent(self) -> None:
        """Answer siblings no more. The socket stays bound and listens, as the supervisor keeps it."""
        await self._asked.cleanup()


@pytest.fixture
async def processes(world: World) -> AsyncIterator[list[Process]]:
    """The processes of one worker, which are ready."""
    async with AsyncExitStack() as running:
        states = [running.enter_context(socket.create_server((STATE_HOST, 0))) for _ in range(PROCESSES)]
        ports = tuple(state.getsockname()[1] for state in states)
        made = []
        for number, state in enumerate(states):
            place = Place(
                number=number,
                web=(),
                metrics=(),
                state=0,
                state_ports=ports,
                url="http://worker:6066",
                secret=SECRET,
            )
            made.append(Process(InMemoryGateway(world), place, state))
            await made[-1].start(running)
        yield made


async def test_each_process_is_ready_when_all_are(processes: list[Process]):
    assert [(await each.client.get(READY)).status for each in processes] == [200, 200]


async def test_each_process_tells_which_one_is_not_ready_and_why(processes: list[Process]):
    processes[1].gateway.ready = Readiness(False, ("the group is rebalancing",))
    for each in processes:
        told = await problem(await each.client.get(READY), 503, "UNAVAILABLE")
        assert told["reasons"] == ["process 1: the group is rebalancing"]


async def test_a_process_that_does_not_answer_is_not_ready(processes: list[Process]):
    await processes[1].fall_silent()
    told = await problem(await processes[0].client.get(READY), 503, "UNAVAILABLE")
    assert told["reasons"] == ["process 1: this process does not answer"]


async def test_siblings_are_told_of_this_process_alone(processes: list[Process]):
    processes[1].gateway.ready = Readiness(False, ("Kafka has not answered for 11 s",))
    async with ClientSession(headers={"X-Sibling": SECRET.hex()}) as session:
        answers = [await session.get(f"{each.state_url}{READY}") for each in processes]
        assert [answer.status for answer in answers] == [200, 503]
        assert (await session.get(f"{processes[0].state_url}/docs")).status == 404


@pytest.mark.parametrize(
    "headers", [{}, {"X-Sibling": ""}, {"X-Sibling": SECRET.hex()[1:]}, {"X-Sibling": "é"}]
)
@pytest.mark.parametrize("path", [READY, METRICS, "/board"])
async def test_nobody_but_a_sibling_is_told(processes: list[Process], path: str, headers: dict[str, str]):
    async with ClientSession(headers=headers) as session:
        assert (await session.get(f"{processes[0].state_url}{path}")).status == 403


async def test_one_scrape_has_the_metrics_of_all_processes(processes: list[Process]):
    text = await (await processes[0].client.get(METRICS)).text()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families) > 10
    numbers = {sample.labels["process"] for family in families for sample in family.samples}
    assert numbers == {"0", "1"}


async def test_a_form_of_one_process_may_be_sent_to_another(processes: list[Process]):
    processes[1].gateway.own()
    page = await (await processes[0].client.get("/desk")).text()
    (token,) = re.findall(f'name="{FORM_TOKEN}" value="(.+?)"', page)
    for given, status in ((token, 404), (f"x{token}", 403)):
        form = {FORM_TOKEN: given, "q": "nobody"}
        answer = await processes[1].client.post("/desk/search", data=form, allow_redirects=False)
        assert answer.status == status


async def test_the_board_has_the_figures_of_all_processes(processes: list[Process]):
    page = await (await processes[1].client.get("/desk")).text()
    assert "of http://worker:6066" in page
    own = processes[1].gateway.board()
    assert f"{2 * own.customers.total:,}" in page
    assert f"{own.customers.total:,}</dd>" not in page

"""Idempotency keys against the balance service: edges are killed, calls and answers are lost or come late, clients
leave; whatever the order, one request at most is charged, and who comes later gets its answer and no other."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import pytest

from balance.world import BalanceDatabase, open_pool
from tollgate_balance.idempotency import api as idempotency
from tollgate_common.http import create_app
from tollgate_common.ids import new_id
from tollgate_edge.credit.leases.client import LeaseClient, NoAnswer
from tollgate_edge.http.errors import ApiError, ClientGone
from tollgate_edge.http.request_context import Message, RequestContext
from tollgate_edge.idempotency import claims
from tollgate_edge.idempotency.claims import Claim, SharedClaims
from tollgate_edge.idempotency.encryption import StoredResponse

pytestmark = pytest.mark.engines

TOKEN = "t" * 32
RUNS = 12
LATEST_S = 0.02


@dataclass
class World:
    """What happened to one key: `charged` and `replayed` are ids of the requests whose answers they were."""

    books: BalanceDatabase
    chance: random.Random
    key: bytes = field(default_factory=lambda: new_id().encode())
    charged: list[str] = field(default_factory=list)
    replayed: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    is_calm: bool = False


class Edge(LeaseClient):
    """An edge process with a bad line to the balance service."""

    def __init__(self, world: World) -> None:
        super().__init__("http://balance", TOKEN, edge="edge")
        app = create_app("balance", ready=lambda: None)
        idempotency.add_routes(app, world.books.pool, TOKEN)
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://balance/internal/v1",
            headers={"authorization": f"Bearer {TOKEN}"},
        )
        self.boot_id = new_id()
        self.claims = SharedClaims(self, lambda: self.boot_id, wait_s=0.1, max_answer_bytes=1_000)
        self.requests: set[asyncio.Task[None]] = set()
        self.is_dead = False
        self._world = world
        self._late: dict[asyncio.Task[bytes], float] = {}

    async def send(self, method: str, path: str, body: msgspec.Struct | Mapping[str, Any]) -> bytes:
        """Lost on its way, or its answer lost, or given up and handled all the same, a little later."""
        if self.is_dead:
            await asyncio.Event().wait()
        if path.endswith("/release"):
            await self._come_through()
        luck = 1.0 if self._world.is_calm else self._world.chance.random()
        if luck < 0.1:
            raise NoAnswer("lost")
        late = luck < 0.25
        call = asyncio.create_task(self._sent(method, path, body, LATEST_S * luck * 4 if late else 0))
        self._late[call] = time.monotonic()
        call.add_done_callback(self._late.pop)
        if late:
            raise NoAnswer("late")
        # A client that leaves ends the wait, not the call.
        content = await asyncio.shield(call)
        if luck < 0.4:
            raise NoAnswer("its answer was lost")
        return content

    async def _sent(self, method: str, path: str, body: msgspec.Struct | Mapping[str, Any], wait_s: float) -> bytes:
        await asyncio.sleep(wait_s)
        return await super().send(method, path, body)

    async def _come_through(self) -> None:
        """However slow the machine is: nothing comes through later than claims are told that it may."""
        latest = time.monotonic() - claims.LATEST_CLAIM_S
        for call in [call for call, sent_at in self._late.items() if sent_at <= latest]:
            await asyncio.wait([call])

    async def settled(self) -> None:
        while self._late or self.claims._releasing:
            await asyncio.sleep(0.001)

    async def kill(self) -> None:
        """As SIGKILL does: nothing of it runs on; and the balance service finds out."""
        self.is_dead = True
        for tasks in (self.requests, self.claims._releasing):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        while self._late:
            await asyncio.sleep(0.001)
        await self._world.books.execute("UPDATE boots SET fenced_at = now() WHERE boot_id = %s", self.boot_id)


def exchange_of(world: World, leaves_at_s: float = 60) -> RequestContext:
    async def receive() -> Message:
        await asyncio.sleep(leaves_at_s)
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        pass

    headers = [(b"idempotency-key", world.key)]
    return RequestContext({"type": "http", "path": "/v1/chat/completions", "headers": headers}, receive, send)


async def serve(world: World, edge: Edge, *, leaves: bool, is_refused: bool) -> None:
    """A request: it claims its key, gets an answer from the provider, keeps it and is charged."""
    context = exchange_of(world, world.chance.random() * 0.01 if leaves else 60)
    claim = await edge.claims.take(context, "a", b"Bearer tg", b"{}")
    assert claim is not None
    if isinstance(claim, StoredResponse):
        assert claim.body == claim.request_id.encode()
        world.replayed.add(claim.request_id)
        return
    try:
        await asyncio.sleep(world.chance.random() * 0.01)
        # From here to the charge nothing is awaited: an edge that is killed between them has kept what nobody pays.
        if not is_refused and await claim.keep(context.request_id.encode()):
            world.charged.append(context.request_id)
    finally:
        if not edge.is_dead:
            claim.release()


async def attempt(world: World, edge: Edge, *, leaves: bool = False, is_refused: bool = False) -> None:
    try:
        await serve(world, edge, leaves=leaves, is_refused=is_refused)
    except ClientGone:
        pass
    except ApiError as error:
        world.refused.add(error.code)


@pytest.fixture
async def books(postgres_dsn: str) -> AsyncIterator[BalanceDatabase]:
    pool = await open_pool(postgres_dsn)
    yield BalanceDatabase(postgres_dsn, pool)
    await pool.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are as short as this world's."""
    for name, seconds in (
        ("_FIRST_DELAY_S", 0.001),
        ("_MAX_DELAY_S", 0.004),
        ("KEEP_TIMEOUT_S", 0.02),
        ("LATEST_CLAIM_S", 2 * LATEST_S),
    ):
        monkeypatch.setattr(claims, name, seconds)


async def test_of_an_answer_that_never_began_nothing_is_kept(books: BalanceDatabase) -> None:
    world = World(books, random.Random(0), is_calm=True)
    edge = Edge(world)
    await books.renew(edge.boot_id)
    for _ in range(2):
        claim = await edge.claims.take(exchange_of(world), "a", b"Bearer tg", b"{}")
        assert isinstance(claim, Claim)
        assert not await claim.keep(b"")
        claim.release()
        await edge.settled()
    await edge.aclose()


async def play(books: BalanceDatabase, seed: int) -> World:
    """Eight requests with one key at three edges, of which one may die, then two when all is well again."""
    world = World(books, random.Random(seed))
    edges = [Edge(world) for _ in range(3)]
    for edge in edges:
        await books.renew(edge.boot_id)
    for _ in range(8):
        edge = world.chance.choice(edges[1:] if edges[0].is_dead else edges)
        leaves, is_refused = world.chance.random() < 0.3, world.chance.random() < 0.3
        edge.requests.add(asyncio.create_task(attempt(world, edge, leaves=leaves, is_refused=is_refused)))
        await asyncio.sleep(world.chance.random() * 0.01)
        if not edges[0].is_dead and world.chance.random() < 0.1:
            await edges[0].kill()
    world.is_calm = True
    living = [edge for edge in edges if not edge.is_dead]
    await asyncio.gather(*(request for edge in living for request in edge.requests))
    for edge in living:
        await edge.settled()
    await attempt(world, edges[1])
    await attempt(world, edges[2])
    for edge in edges:
        if not edge.is_dead:
            await edge.settled()
        await edge.aclose()
    return world


@pytest.mark.usefixtures("hurried")
async def test_one_request_at_most_is_charged_whatever_fails(books: BalanceDatabase) -> None:
    played = [await play(books, seed) for seed in range(RUNS)]
    for seed, world in enumerate(played):
        assert len(world.charged) <= 1, seed
        # Nothing is held for ever: of the last two, one is told what the first one was.
        assert len(world.replayed) == 1, seed
        assert {*world.charged} <= world.replayed, seed
        assert world.refused <= {"idempotency_unavailable", "idempotency_key_in_use"}, seed
    assert any(world.charged for world in played)

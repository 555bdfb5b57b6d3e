"""Each named crash point in a running Tollgate: the process dies there, and every request is accounted for once.

Each service dies its way along its own chain of points, under load: whoever takes over finds what the one before left
behind, and dies at the next point. docs/crash-points.md tells what could go wrong at each. The spool's points, for
which Kafka must be away, are in tests/edge/test_crash_points.py.
"""

import asyncio
import os
import random
import re
import signal
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from chaos.aftermath import forget_first_calls, settled_report
from chaos.callers import Callers
from chaos.recount import differences, read_books
from chaos.signup_load import SignupLoad
from e2e.running import Tollgate, running_tollgate
from tollgate_common.clock import utc_now
from tollgate_common.crash_points import CrashPoint
from tollgate_common.events import CreditGranted, encode
from tollgate_common.ids import new_id
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.kafka.producer import create_producer
from tollgate_common.postgres import connection as postgres
from tollgate_common.topics import Topic
from tollgate_local.engines import EngineAddresses
from tollgate_local.processes import ProcessSpec
from tollgate_local.supervisor import Part, Patience
from tollgate_local.system import System
from waiting import until

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

CHAINS: Mapping[str, Sequence[CrashPoint]] = {
    "accounts": [
        CrashPoint.BEFORE_PUBLISH,
        CrashPoint.WHILE_PUBLISHING,
        CrashPoint.AFTER_PUBLISH,
        CrashPoint.AFTER_DELETE,
    ],
    "balance": [
        CrashPoint.BEFORE_EXPIRY,
        CrashPoint.AFTER_EXPIRY,
        CrashPoint.BEFORE_GRANT,
        CrashPoint.AFTER_GRANT,
        CrashPoint.BEFORE_FENCE,
        CrashPoint.AFTER_FENCE,
        CrashPoint.BEFORE_ENDS,
        CrashPoint.AFTER_ENDS,
        CrashPoint.BEFORE_RELEASE,
        CrashPoint.AFTER_RELEASE,
        CrashPoint.BEFORE_POST,
        CrashPoint.AFTER_POST,
        CrashPoint.BEFORE_SHOW_LAG,
        CrashPoint.AFTER_SHOW_LAG,
        CrashPoint.BEFORE_CLOSE,
        CrashPoint.AFTER_CLOSE,
    ],
    "billing": [
        CrashPoint.BEFORE_DECLARE,
        CrashPoint.AFTER_DECLARE,
        CrashPoint.BEFORE_INSERT,
        CrashPoint.AFTER_INSERT,
        CrashPoint.BEFORE_COMMIT,
        CrashPoint.AFTER_COMMIT,
    ],
    "edge": [CrashPoint.BEFORE_ACKNOWLEDGE, CrashPoint.AFTER_ACKNOWLEDGE],
}
# What happens to the boots of edges that died, and the first thing that an edge asks for which takes their place.
OF_ANOTHER_EDGE = {
    CrashPoint.BEFORE_GRANT,
    CrashPoint.AFTER_GRANT,
    CrashPoint.BEFORE_FENCE,
    CrashPoint.AFTER_FENCE,
    CrashPoint.BEFORE_ENDS,
    CrashPoint.AFTER_ENDS,
    CrashPoint.BEFORE_RELEASE,
    CrashPoint.AFTER_RELEASE,
}
# What a lease comes to when nobody uses it.
CLOSES = {CrashPoint.BEFORE_CLOSE, CrashPoint.AFTER_CLOSE}
SESSION_S = 6
LEASE_S = 3
CLIENTS = 6
CHAINS_END_WITHIN_S = 600
DIED_AT = re.compile(r"this process is killed at the crash point ([\w.]+)")


class Chain:
    """Arms each life of a process with the next point at which none has died; the first life, which must come to work,
    with none."""

    def __init__(self, points: Sequence[CrashPoint]) -> None:
        self._points = points
        self._is_first = True

    def arm(self, spec: ProcessSpec) -> ProcessSpec:
        is_first, self._is_first = self._is_first, False
        point = None if is_first else next_point(self._points, spec.log_file)
        return spec if point is None else replace(spec, env={**spec.env, "TOLLGATE_CRASH_AT": point.value})


def armed_parts(system: System) -> list[Part]:
    return [_armed(part) if part.name in CHAINS else part for part in system.parts()]


def _armed(part: Part) -> Part:
    chain, spec = Chain(CHAINS[part.name]), part.spec
    assert spec is not None

    return replace(part, spec=lambda: chain.arm(spec()))


def next_point(points: Sequence[CrashPoint], log_file: Path) -> CrashPoint | None:
    died_at = set(DIED_AT.findall(log_file.read_text()))
    return next((point for point in points if point not in died_at), None)


def deaths(tollgate: Tollgate, service: str) -> list[str]:
    """The points at which a service has died, in order, from its log."""
    return DIED_AT.findall((tollgate.system.logs / f"{service}.log").read_text())


def balance_waits_for(tollgate: Tollgate) -> CrashPoint | None:
    return next_point(CHAINS["balance"], tollgate.system.logs / "balance.log")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tollgate(engines: EngineAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tollgate]:
    settings = {
        "TOLLGATE_SESSION_TIMEOUT_S": str(SESSION_S),
        "TOLLGATE_LEASE_S": str(LEASE_S),
        "TOLLGATE_ABANDONED_AFTER_S": "0",
    }
    patience = Patience(first_delay_s=0.05, longest_delay_s=0.05, quick_deaths_allowed=None)
    folder = tmp_path_factory.mktemp("tollgate")
    async with running_tollgate(engines, folder, settings=settings, patience=patience, parts=armed_parts) as tollgate:
        yield tollgate


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def callers(tollgate: Tollgate) -> Callers:
    """After all have died along their chains under load: what the clients got."""
    customer = await tollgate.sign_up(credit_usd="1000")
    callers = Callers([tollgate.system.url("edge")], customer.key, random.randrange(2**32), CLIENTS, customer.key_id)
    signups = SignupLoad(tollgate, await tollgate.create_promo_code("3"))
    async with asyncio.TaskGroup() as group:
        group.create_task(callers.run())
        group.create_task(signups.run())
        group.create_task(let_credit_expire(tollgate))
        group.create_task(let_boots_die(tollgate, callers))
        for service in CHAINS:
            kill(tollgate, service)
        await until(partial(are_over, tollgate, callers), within_s=CHAINS_END_WITHIN_S)
        callers.is_over = signups.is_over = True
    await signups.check([tollgate.system.url("edge")])
    return callers


async def are_over(tollgate: Tollgate, callers: Callers) -> bool:
    """Whether every chain is. Callers pause where that is what is waited for."""
    callers.is_paused = balance_waits_for(tollgate) in CLOSES
    return all(len(deaths(tollgate, service)) >= len(points) for service, points in CHAINS.items())


def kill(tollgate: Tollgate, service: str) -> None:
    pid = tollgate.supervisor.pid(service)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


async def let_boots_die(tollgate: Tollgate, callers: Callers) -> None:
    """The edge is killed whenever it has answered again, for as long as another edge is what is waited for."""
    answered = callers.answered
    while not callers.is_over:
        await asyncio.sleep(LEASE_S)
        if callers.answered > answered and balance_waits_for(tollgate) in OF_ANOTHER_EDGE:
            answered = callers.answered
            kill(tollgate, "edge")


async def let_credit_expire(tollgate: Tollgate) -> None:
    """Grants that live for a moment, each of an account of its own, until nobody waits for one to expire."""
    async with create_producer(Brokers(tollgate.system.engines().kafka_bootstrap)) as producer:
        while CrashPoint.AFTER_EXPIRY not in deaths(tollgate, "balance"):
            grant = CreditGranted(
                grant_id=new_id(),
                account_id=f"expiring-{uuid.uuid4().hex}",
                amount_nano=10**9,
                source="manual",
                reason="to expire",
                at=utc_now(),
                expires_at=utc_now() + timedelta(seconds=1),
            )
            topic = Topic.CREDITS.named(tollgate.system.name)
            await producer.send_and_wait(topic, encode(grant), grant.account_id.encode())
            await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("service", "point"), [(service, point) for service, points in CHAINS.items() for point in points]
)
async def test_it_died_there(tollgate: Tollgate, callers: Callers, service: str, point: CrashPoint) -> None:
    assert deaths(tollgate, service).count(point) == 1


async def test_every_request_is_accounted_for_once(tollgate: Tollgate, callers: Callers) -> None:
    print(callers.outcomes())
    report = await settled_report(tollgate)
    assert report["is_clean"], report
    assert report["totals"]["write_off_nano"] == 0
    books = await read_books(tollgate, callers.key_id)
    await forget_first_calls(tollgate, books)
    assert differences(callers.calls, books) == []
    assert any(call.is_answered for call in callers.calls)


async def test_what_expired_is_gone_once(tollgate: Tollgate, callers: Callers) -> None:
    async with await postgres.connect(tollgate.postgres_dsn("balance")) as connection:

        async def have_expired() -> bool:
            found = await connection.execute(
                "SELECT count(*) AS accounts, count(*) FILTER (WHERE posted_nano = 0) AS empty FROM accounts "
                "WHERE account_id LIKE 'expiring-%'"
            )
            row = await found.fetchone()
            assert row is not None
            return bool(row["accounts"] == row["empty"] > 0)

        await until(have_expired)
        found = await connection.execute(
            "SELECT account_id, count(*) AS postings, sum(amount_nano) AS nano FROM postings "
            "WHERE account_id LIKE 'expiring-%' GROUP BY account_id HAVING count(*) <> 2 OR sum(amount_nano) <> 2e9"
        )
        assert await found.fetchall() == []

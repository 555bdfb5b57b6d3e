"""Every process of a running Tollgate is killed and paused under load; afterwards every call is accounted for once.

Two of each service that has state of its own in Kafka's groups, so that whoever is paused is replaced, and wakes up as
a zombie.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chaos.aftermath import forget_first_calls, settled_report
from chaos.callers import Callers
from chaos.fault_injection import FaultInjector, draw
from chaos.oracle import cost_nano
from chaos.recount import differences, read_books
from chaos.signup_load import SignupLoad
from e2e.running import Tollgate, running_tollgate
from tollgate_local.engines import EngineAddresses
from tollgate_local.supervisor import Patience
from tollgate_local.system import Service

pytestmark = [pytest.mark.chaos, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(7200)]

# The long form is `make chaos`.
IS_LONG = os.environ.get("TOLLGATE_CHAOS") == "long"
FAULTS = 200 if IS_LONG else 20
EVERY_S = 1.5
CLIENTS = 12
SESSION_S = 6
LEASE_S = 6
MORE = (
    Service("edge-2", program="edge", asks="balance-2"),
    Service("balance-2", program="balance", uses_postgres=True, depends_on=("balance",)),
    Service("billing-2", program="billing", uses_postgres=True, uses_clickhouse=True, depends_on=("billing",)),
    Service("analytics-2", program="analytics", uses_clickhouse=True, depends_on=("analytics",)),
)
EDGES = ("edge", "edge-2")
PARTS = (*EDGES, "balance", "balance-2", "billing", "billing-2", "analytics", "analytics-2", "accounts")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tollgate(engines: EngineAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tollgate]:
    settings = {
        "TOLLGATE_SESSION_TIMEOUT_S": str(SESSION_S),
        "TOLLGATE_LEASE_S": str(LEASE_S),
        "TOLLGATE_ABANDONED_AFTER_S": "0",
    }
    patience = Patience(first_delay_s=0.1, longest_delay_s=0.3, quick_deaths_allowed=None)
    folder = tmp_path_factory.mktemp("tollgate")
    async with running_tollgate(engines, folder, more=MORE, settings=settings, patience=patience) as tollgate:
        yield tollgate


async def test_whatever_fails_every_request_is_accounted_for_once(tollgate: Tollgate) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    customer = await tollgate.sign_up(credit_usd="1000")
    callers = Callers([tollgate.system.url(edge) for edge in EDGES], customer.key, seed, CLIENTS, customer.key_id)
    signups = SignupLoad(tollgate, await tollgate.create_promo_code("3"))
    injector = FaultInjector(tollgate.supervisor, chance, zombie_after_s=SESSION_S)
    async with asyncio.TaskGroup() as group:
        group.create_task(callers.run())
        group.create_task(signups.run())
        await injector.inject_all(draw(PARTS, FAULTS, chance), every_s=EVERY_S)
        callers.is_over = signups.is_over = True
    print(f"seed {seed}: {callers.outcomes()}, {len(signups.known)} signups\n" + "\n".join(injector.done))

    report = await settled_report(tollgate)
    assert report["is_clean"], report
    assert report["is_complete"]
    assert report["totals"]["write_off_nano"] == 0

    books = await read_books(tollgate, customer.key_id)
    await forget_first_calls(tollgate, books)
    assert differences(callers.calls, books) == []
    never_closed = {held.opened[0] for held in books.values() if held.opened and not held.closed}
    assert report["totals"]["unclosed_requests"] == len(never_closed)
    assert callers.answered > FAULTS
    # What the customer is told adds up to the same.
    charged_nano = sum(charge.amount_nano for held in books.values() for charge in held.charges)
    told_nano = (await tollgate.usage(customer))["total"]["cost_nano"]
    assert told_nano - charged_nano == sum(cost_nano("gpt-4o-mini", usage) for usage in customer.received)
    await signups.check([tollgate.system.url(edge) for edge in EDGES])

"""The reconciliation over a whole system: the operator's command, the page of the worker, and the metrics."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from e2e.running import Tollgate, running_tollgate
from tollgate_common.clickhouse import client as clickhouse
from tollgate_local.engines import EngineAddresses
from tollgate_local.system import python
from waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tollgate(engines: EngineAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tollgate]:
    """One of its own: a test changes a charge."""
    async with running_tollgate(engines, tmp_path_factory.mktemp("tollgate")) as tollgate:
        yield tollgate


async def tollgate_command(tollgate: Tollgate, *arguments: str) -> tuple[int, str]:
    """Exit code and output of `tollgate ...`, as an operator types it."""
    billing = {
        "TOLLGATE_BILLING_URL": tollgate.system.url("billing"),
        "TOLLGATE_OPERATOR_TOKEN": tollgate.system.secret("operator-token"),
    }
    process = await asyncio.create_subprocess_exec(
        *python("tollgate_billing.cli.main", *arguments),
        env=os.environ | billing,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def metrics(tollgate: Tollgate) -> dict[str, float]:
    text = (await tollgate.http.get(f"{tollgate.system.url('billing')}/metrics")).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("tollgate_reconciliation_")]
    return {name: float(value) for name, value in lines}


async def test_the_reconciliation_of_a_system_at_work(tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up()
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
    url = f"{tollgate.base_url}/chat/completions"
    answers = await asyncio.gather(*(tollgate.http.post(url, json=body, headers=customer.with_key) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}

    code, table = await tollgate_command(tollgate, "reconcile")
    assert (code, table.splitlines()[-1]) == (0, "no differences"), table

    client = await clickhouse.connect(tollgate.clickhouse_url("billing"))
    try:
        found = await client.query("SELECT request_id FROM charges WHERE kind = 'charge' ORDER BY request_id LIMIT 1")
        [[request_id]] = found.result_rows
        await client.command(
            "ALTER TABLE charges UPDATE amount_nano = amount_nano + 7 WHERE request_id = {request_id:String}",
            parameters={"request_id": request_id},
            settings={"mutations_sync": 2},
        )
    finally:
        await client.close()
    code, table = await tollgate_command(tollgate, "reconcile", "--from", "2026-01-01")
    assert code == 1, table
    assert f"differs: request {request_id}" in table
    assert f"misrated: request {request_id}" in table

    code, table = await tollgate_command(tollgate, "reconcile", "--from", "yesterday")
    assert (code, "is not a time; expected" in table) == (2, True)


async def test_the_worker_publishes_what_it_finds(tollgate: Tollgate) -> None:
    operator = {"Authorization": f"Bearer {tollgate.system.secret('operator-token')}"}
    page = f"{tollgate.system.url('billing')}/v1/reconciliation"

    async def has_found() -> bool:
        answer = await tollgate.http.get(page, headers=operator)
        return answer.is_success and answer.json()["totals"]["misrated"] == 1

    await until(has_found, within_s=100)
    report = (await tollgate.http.get(page, headers=operator)).json()
    shown = await metrics(tollgate)
    for name, value in report["totals"].items():
        assert shown[f"tollgate_reconciliation_{name}"] == value
    assert shown["tollgate_reconciliation_charges_minus_rated_nano"] == 7
    assert shown["tollgate_reconciliation_last_run_timestamp_seconds"] > 0
    assert (await tollgate.http.get(page)).status_code == 401

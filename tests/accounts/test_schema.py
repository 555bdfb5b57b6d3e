"""Schemathesis calls the running service with what its OpenAPI document allows, and with much that it does not."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from accounts.answers import PASSWORD
from tollgate_accounts.main import PACKAGES
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.postgres.migrations import migrate_postgres
from tollgate_common.topics import create_topics
from waiting import until

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]

BOUND_S = 50
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
# Excluded, because these end the session that all other requests need.
LEFT_OUT = "^/v1/(sessions/current|password)$"
SECRETS = {f"TOLLGATE_{name}": name[0] * 40 for name in ("SIGNING_SECRET", "INTERNAL_TOKEN", "OPERATOR_TOKEN")}


@pytest.fixture
def url(postgres_dsn: str, brokers: Brokers, topic_prefix: str, unused_tcp_port: int, tmp_path: Path) -> Iterator[str]:
    """Run the service in its own process."""
    environment = os.environ | SECRETS
    environment |= {
        "TOLLGATE_POSTGRES_DSN": postgres_dsn,
        "TOLLGATE_KAFKA_BOOTSTRAP": brokers.bootstrap,
        "TOLLGATE_TOPIC_PREFIX": topic_prefix,
        "TOLLGATE_PORT": str(unused_tcp_port),
        "TOLLGATE_EMAIL_VERIFICATION": "optional",
        "TOLLGATE_UNLIMITED_ADDRESSES": "127.0.0.0/8",
    }
    with (tmp_path / "accounts.log").open("wb") as log:
        argv = [sys.executable, "-m", "tollgate_accounts.main"]
        with subprocess.Popen(argv, env=environment, stderr=log) as process:
            yield f"http://127.0.0.1:{unused_tcp_port}"
            process.terminate()
    assert b"Traceback" not in (tmp_path / "accounts.log").read_bytes(), (tmp_path / "accounts.log").read_text()


async def test_no_call_breaks_the_service_or_its_document(
    url: str, postgres_dsn: str, brokers: Brokers, topic_prefix: str, tmp_path: Path
) -> None:
    await create_topics(brokers, topic_prefix, partitions=1, replication=1)
    await migrate_postgres(postgres_dsn, *PACKAGES)
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        await until_ready(client)
        credentials = {"email": "ada@example.com", "password": PASSWORD}
        (await client.post("/v1/accounts", json=credentials)).raise_for_status()
        session = (await client.post("/v1/sessions", json=credentials)).raise_for_status().json()
    argv = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json"]
    argv += ["--header", f"Authorization: Bearer {session['token']}", "--exclude-path-regex", LEFT_OUT]
    argv += ["--checks", ",".join(CHECKS), "--max-time", str(BOUND_S), "--continue-on-failure"]
    argv += ["--seed", "1", "--no-color", "--warnings", "off"]
    done = await asyncio.to_thread(
        subprocess.run, argv, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout, done.stdout


async def until_ready(client: httpx.AsyncClient) -> None:
    async def is_ready() -> bool:
        with suppress(httpx.TransportError):
            return (await client.get("/readyz")).is_success
        return False

    await until(is_ready, "ready")

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from e2e.access import USERS
from e2e.running import Tollgate, running_tollgate
from engines.secured_kafka import SecuredKafka, secured_kafka
from tollgate_local.engines import EngineAddresses


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tollgate(engines: EngineAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tollgate]:
    """The system that all tests share which need no special settings. Each test signs up customers of its own.

    List their modules in `scheduling.SHARED`, and run them in the session's event loop.
    """
    async with running_tollgate(engines, tmp_path_factory.mktemp("tollgate"), with_console=True) as tollgate:
        yield tollgate


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A Kafka with TLS, logins and an authorizer; it takes seconds to start, so all share it."""
    with secured_kafka(tmp_path_factory.mktemp("secured"), USERS) as running:
        yield running

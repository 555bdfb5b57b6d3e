from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from e2e.running import Tollgate, running_tollgate
from tollgate_local.engines import EngineAddresses


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tollgate(engines: EngineAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tollgate]:
    async with running_tollgate(engines, tmp_path_factory.mktemp("tollgate")) as tollgate:
        yield tollgate

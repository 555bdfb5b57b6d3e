"""Fixtures for every test. A test that uses a store says so with `@pytest.mark.engines`."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from engines import stores
from engines.run import EnginesError, Run, find_engines
from tollgate_common.kafka.brokers import Brokers
from tollgate_local.engines import EngineAddresses

pytest_plugins = ["e2e.fixtures", "scheduling"]
RUN = pytest.StashKey[Run]()
MARKS_WITH_ENGINES = {"engines", "live", "e2e", "chaos"}


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # pytest-xdist's workers belong to the run of their main process
        config.stash[RUN] = Run()


def pytest_unconfigure(config: pytest.Config) -> None:
    if run := config.stash.get(RUN, None):
        run.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Beside what failed: what the engines complained of, whose logs go with the run."""
    run = config.stash.get(RUN, None)
    if run is None or not terminalreporter.stats.keys() & {"failed", "error"}:
        return
    for log in sorted(run.folder.glob("logs/*.log")):
        if complaints := stores.complaints_in(log.read_text(errors="replace")):
            terminalreporter.section(log.name)
            terminalreporter.write_line("\n".join(complaints))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if uses_engines(item) and not MARKS_WITH_ENGINES & {mark.name for mark in item.iter_markers()}:
            raise pytest.UsageError(f"{item.nodeid} uses the engines: mark it with @pytest.mark.engines")


def uses_engines(item: pytest.Item) -> bool:
    return "engines" in getattr(item, "fixturenames", ())


def pytest_collection_finish(session: pytest.Session) -> None:
    """Starts the engines before the first test, whose time limit is not for a download."""
    # What has been imported stays: a collection after each test need not look at it.
    gc.collect()
    gc.freeze()
    if session.config.option.collectonly or not any(uses_engines(item) for item in session.items):
        return
    try:
        find_engines()
    except EnginesError:
        return  # each test that needs them tells it, from the fixture below


class _Leaks(logging.Handler):
    """Collects what asyncio reports of tasks and futures when they are finalized."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "was never retrieved" in message or "was destroyed but it is pending" in message:
            self.messages.append(message)


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    """Fail the test that leaves an unclosed client, or a task or future whose exception nobody retrieves.

    The garbage collector runs after each test, so that a leak is reported where it was made. It must also not be found
    while Python parses: before 3.11.8 a finalizer that formats a traceback then breaks the parser ("AST constructor
    recursion depth mismatch"), and pytest with it.
    """
    leaks = _Leaks()
    logger = logging.getLogger("asyncio")
    logger.addHandler(leaks)
    try:
        yield
        gc.collect()
    finally:
        logger.removeHandler(leaks)
    assert not leaks.messages


@pytest.fixture(scope="session")
def engines() -> EngineAddresses:
    """Kafka, PostgreSQL and ClickHouse: a developer's own, containers where Docker answers, else embedded ones."""
    return find_engines()


@pytest.fixture(scope="session")
def brokers(engines: EngineAddresses) -> Brokers:
    """One that creates no topic by itself."""
    return Brokers(engines.kafka_bootstrap)


@pytest.fixture
def topic_prefix(brokers: Brokers) -> Iterator[str]:
    """What the names of this test's topics and consumer groups start with; the topics are deleted after it."""
    prefix = stores.unique_name()
    yield prefix
    with ThreadPoolExecutor(1) as thread:  # this thread's event loop may be the test's own
        thread.submit(asyncio.run, stores.delete_topics(brokers, prefix)).result()


@pytest.fixture
def postgres_dsn(engines: EngineAddresses) -> Iterator[str]:
    """The DSN of a database for this test alone, as a superuser."""
    with stores.postgres_database(engines.postgres_dsn) as dsn:
        yield dsn


@pytest.fixture
def clickhouse_database(engines: EngineAddresses) -> Iterator[stores.ClickHouseDatabase]:
    """A ClickHouse database for this test alone."""
    with stores.clickhouse_database(engines.clickhouse_url) as database:
        yield database

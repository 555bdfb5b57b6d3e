"""docker-compose.yml agrees with what the services read and answer."""

import re
from typing import Any

import pytest
import yaml

from deploy import settings
from deploy.image import ROOT, SERVICES, WITH_STORES, environment
from engines.containers import CLICKHOUSE_IMAGE, POSTGRES_IMAGE
from tollgate_edge.settings import EdgeSettings
from tollgate_edge.workers.supervisor import CLOSE_WITHIN_S
from tollgate_local.kafka import node_settings
from tollgate_local.kafka_jars import POM, kafka_version
from tollgate_local.provider.settings import Settings as ProviderSettings

TEXT = (ROOT / "docker-compose.yml").read_text()
SECRET = re.compile(r"\$\{(?P<name>\w+):\?run deploy/compose/make-env first\}")
DEFAULT = re.compile(r"\$\{\w+:-(?P<value>[^}]*)\}")


def parts() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
    return services


def given(part: dict[str, Any]) -> dict[str, str]:
    """A part's environment as compose would fill it in, with secrets of the right form."""
    filled = {
        name: DEFAULT.sub(lambda found: found["value"], SECRET.sub("s" * 64, value))
        for name, value in part.get("environment", {}).items()
    }
    return environment() | filled


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_gets_what_it_reads(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part = parts()[service]
    assert part["command"] == [service]
    variables = given(part)
    if service != "edge":
        del variables["TOLLGATE_SPOOL_DIR"]
    settings.check(service, variables, monkeypatch)


def test_the_topics_are_made_with_settings_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {name: value for name, value in given(parts()["topics"]).items() if name not in environment()}
    settings.check("topics", variables, monkeypatch)


def test_the_provider_gets_what_it_reads() -> None:
    fields = {f"TOLLGATE_PROVIDER_{name.upper()}" for name in ProviderSettings.model_fields}
    assert parts()["provider"]["environment"].keys() <= fields


@pytest.mark.parametrize("service", WITH_STORES)
def test_a_migration_runs_before_its_service_and_with_its_environment(service: str) -> None:
    step = parts()[f"migrate-{service}"]
    assert step["command"] == [service, "migrate"]
    assert step["environment"] == parts()[service]["environment"]
    assert parts()[service]["depends_on"][f"migrate-{service}"] == {"condition": "service_completed_successfully"}


def test_what_is_waited_for_can_come() -> None:
    for name, part in parts().items():
        for needed, how in part.get("depends_on", {}).items():
            runs_on = parts()[needed].get("restart") == "unless-stopped"
            assert runs_on == (how["condition"] == "service_healthy"), f"{name} waits for {needed}"
            assert not runs_on or "healthcheck" in parts()[needed]


def test_readiness_is_asked_where_it_is_answered() -> None:
    for service in SERVICES:
        assert f":{environment()['TOLLGATE_PORT']}/readyz'" in parts()[service]["healthcheck"]["test"][-1]


def test_the_edge_may_end_in_good_order_and_keeps_its_spool() -> None:
    edge = parts()["edge"]
    drain_s = EdgeSettings.model_fields["drain_s"].default
    assert int(edge["stop_grace_period"].removesuffix("s")) > drain_s + CLOSE_WITHIN_S
    assert f"spool:{environment()['TOLLGATE_SPOOL_DIR']}" in edge["volumes"]


def test_images_are_pinned_and_the_engines_are_those_of_the_tests() -> None:
    images = {name: part["image"] for name, part in parts().items()}
    assert not [image for image in images.values() if not re.search(r":\d+\.\d+", image)]
    assert images["kafka"] == f"apache/kafka:{kafka_version(POM)}"
    assert images["clickhouse"] == CLICKHOUSE_IMAGE
    assert images["postgres"].startswith(POSTGRES_IMAGE)


def test_kafka_is_the_node_that_the_tests_run() -> None:
    names = {f"KAFKA_{name.upper().replace('.', '_')}" for name in node_settings("", "", "")}
    assert not names - parts()["kafka"]["environment"].keys()


def test_no_secret_stands_in_it_and_each_is_made() -> None:
    made = set(re.findall(r"[A-Z_]{8,}", (ROOT / "deploy/compose/make-env").read_text()))
    for part in parts().values():
        for name, value in part.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN|SECRET|API_KEY|DSN|CLICKHOUSE_URL", name):
                assert "${" in value, name
    assert {found["name"] for found in SECRET.finditer(TEXT)} <= made
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()

"""The manifests: valid for Kubernetes, and in agreement with what the services read, answer and need to end."""

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils

from deploy import settings
from deploy.image import ROOT, SERVICES, environment
from deploy.kustomize import Object, containers, name_of, pod_of, read_objects, render
from tollgate_common import topics
from tollgate_common.http import create_app
from tollgate_edge.settings import EdgeSettings
from tollgate_edge.workers.supervisor import CLOSE_WITHIN_S

K8S = ROOT / "deploy/k8s"
OPERATIONS = (ROOT / "docs/operations.md").read_text()
OVERLAYS = ("demo", "production")
# The oldest that has all that is used here, and the newest that is known.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
# After its requests, a consumer ends its batch and a publisher its transaction.
LAST_WORDS_S = 15


@functools.cache
def rendered(overlay: str) -> list[Object]:
    return render(K8S / "overlays" / overlay)


def objects(overlay: str, kind: str) -> dict[str, Object]:
    return {found["metadata"]["name"]: found for found in rendered(overlay) if found["kind"] == kind}


def workload(overlay: str, service: str) -> Object:
    return (objects(overlay, "Deployment") | objects(overlay, "StatefulSet") | objects(overlay, "Job"))[service]


class Given(NamedTuple):
    """What a container is given, with secrets of the right form."""

    variables: dict[str, str]
    secrets: set[tuple[str, str]]
    """Which keys of which secrets it must have."""
    optional: frozenset[str]


def given(overlay: str, container: Object) -> Given:
    variables: dict[str, str] = {}
    secrets, optional = set(), set()
    for source in container.get("envFrom", ()):
        variables |= objects(overlay, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    for variable in container.get("env", ()):
        if "value" in variable:
            variables[variable["name"]] = variable["value"]
            continue
        reference = variable["valueFrom"]["secretKeyRef"]
        if reference.get("optional", False):
            optional.add(variable["name"])
        else:
            variables[variable["name"]] = settings.secret(variable["name"])
            secrets.add((reference["name"], reference["key"]))
    return Given(variables, secrets, frozenset(optional))


def own_containers(overlay: str) -> Iterator[tuple[str, Object]]:
    """Those of the services' image, each with the service's name."""
    for found in rendered(overlay):
        yield from own_containers_of(found)


def own_containers_of(found: Object) -> Iterator[tuple[str, Object]]:
    for container in containers([found]):
        if re.search(r"(^|/)tollgate:", container["image"]):
            yield container["args"][0], container


@pytest.fixture(scope="module", autouse=True)
def schemas_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))
        yield


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_is_valid(overlay: str) -> None:
    for found in rendered(overlay):
        if not found["apiVersion"].startswith("kafka.strimzi.io/"):
            for version in VERSIONS:
                kubernetes_validate.validate(found, version, strict=True)
    names = [name_of(found) for found in rendered(overlay)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubectl_renders_the_same(overlay: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl to compare with")
    done = subprocess.run(
        ["kubectl", "kustomize", K8S / "overlays" / overlay], capture_output=True, text=True, check=True
    )
    theirs = {name_of(found): found for found in yaml.safe_load_all(done.stdout)}
    ours = {name_of(found): found for found in rendered(overlay)}
    assert theirs == ours


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_gets_what_its_service_reads(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for service, container in own_containers(overlay):
        its = given(overlay, container)
        image = environment() if service != "topics" else {}
        if service != "edge":
            image.pop("TOLLGATE_SPOOL_DIR", None)
        settings.check(service, image | its.variables, monkeypatch, optional=its.optional)
        seen.add(service)
    assert set(SERVICES) <= seen


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_edge_has_longer_to_end_than_it_may_take(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for service in SERVICES:
        pod = pod_of(workload(overlay, service))
        assert pod is not None
        container = pod["containers"][0]
        before_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        its = given(overlay, container)
        variables = environment() | its.variables
        if service == "edge":
            edge = settings.check(service, variables, monkeypatch, optional=its.optional)
            assert isinstance(edge, EdgeSettings)
            lasts_s = edge.drain_s + CLOSE_WITHIN_S
        else:
            lasts_s = 10 + LAST_WORDS_S
        assert pod["terminationGracePeriodSeconds"] > before_s + lasts_s


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_spool_outlives_its_pod_and_has_room(overlay: str) -> None:
    edge = workload(overlay, "edge")["spec"]
    assert edge["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    (claim,) = edge["volumeClaimTemplates"]
    mounts = {mount["name"]: mount["mountPath"] for mount in edge["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert mounts[claim["metadata"]["name"]] == environment()["TOLLGATE_SPOOL_DIR"]
    size_bytes = int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) << 30
    assert size_bytes >= 4 * EdgeSettings.model_fields["spool_max_bytes"].default


def test_what_stands_before_the_edge_takes_as_large_a_body() -> None:
    (ingress,) = objects("production", "Ingress").values()
    body_size = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert int(body_size.removesuffix("m")) << 20 == EdgeSettings.model_fields["max_body_bytes"].default


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_and_ports_are_those_of_the_services(overlay: str) -> None:
    routes = {getattr(route, "path", None) for route in create_app("any", ready=lambda: None).routes}
    for service in SERVICES:
        pod = pod_of(workload(overlay, service))
        assert pod is not None
        container = pod["containers"][0]
        (port,) = container["ports"]
        assert str(port["containerPort"]) == environment()["TOLLGATE_PORT"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["path"] in routes
            assert container[probe]["httpGet"]["port"] == port["name"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_named_is_there(overlay: str) -> None:
    for name, service in objects(overlay, "Service").items():
        targets = [
            found
            for found in rendered(overlay)
            if pod_of(found) is not None
            and service["spec"]["selector"].items() <= found["spec"]["template"]["metadata"]["labels"].items()
        ]
        ports = {port["name"] for target in targets for each in containers([target]) for port in each.get("ports", ())}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, name
    hosts = set(objects(overlay, "Service"))
    if overlay == "production":
        hosts.add("kafka-kafka-bootstrap")
    for config in objects(overlay, "ConfigMap").values():
        for variable, value in config["data"].items():
            # What browsers are told is outside of the cluster.
            if variable in ("TOLLGATE_CONSOLE_URL", "TOLLGATE_PUBLIC_API_URL"):
                continue
            if variable.endswith(("_URL", "_BOOTSTRAP", "_HOST")) and "example.com" not in value:
                assert re.sub(r"^https?://", "", value).split(":")[0].split("/")[0] in hosts, variable
    for ingress in objects(overlay, "Ingress").values():
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                assert path["backend"]["service"]["name"] in hosts
                is_console = path["backend"]["service"]["name"] == "console"
                assert path["path"] == ("/" if is_console else "/v1")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_may_more_than_it_needs(overlay: str) -> None:
    for found in rendered(overlay):
        pod = pod_of(found)
        if pod is None:
            continue
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers([found]):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
            if "tollgate" in container["image"]:
                assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert re.search(r":\d+\.\d+", container["image"]), container["image"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_secret_that_is_needed_is_made_and_none_stands_here(overlay: str) -> None:
    if overlay == "demo":
        script = K8S / "overlays/demo/make-secrets"
        made = list(yaml.safe_load_all(subprocess.run([script], capture_output=True, text=True, check=True).stdout))
    else:
        made = read_objects(K8S / "overlays/production/secrets.example.yaml")
        values = [value for found in made for value in found["stringData"].values()]
        assert all("<" in value for value in values)
    keys = {
        (found["metadata"]["name"], key) for found in made if found["kind"] == "Secret" for key in found["stringData"]
    }
    needed = set[tuple[str, str]]()
    for container in containers(rendered(overlay)):
        needed |= given(overlay, container).secrets
    assert needed <= keys
    assert not objects(overlay, "Secret")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_kafka_with_tls_and_a_login_needs_no_more_than_settings_and_secrets(overlay: str) -> None:
    for found in rendered(overlay):
        pod = pod_of(found)
        for service, container in own_containers_of(found):
            if service == "console":
                continue
            assert {"TOLLGATE_KAFKA_USERNAME", "TOLLGATE_KAFKA_PASSWORD"} <= given(overlay, container).optional
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert pod is not None
            (volume,) = (volume for volume in pod["volumes"] if volume["name"] == mounts["/etc/tollgate/kafka"])
            secrets = [source["secret"] for source in volume["projected"]["sources"]]
            assert [secret["name"] for secret in secrets] == ["tollgate-kafka", f"tollgate-{service}"]
            assert all(secret["optional"] for secret in secrets)
            files = {item["path"] for secret in secrets for item in secret["items"]}
            assert files == {"ca.crt", "client.crt", "client.key"}
            assert all(f"/etc/tollgate/kafka/{file}" in OPERATIONS for file in files)


def test_kafka_keeps_what_it_acknowledged() -> None:
    config = objects("production", "Kafka")["kafka"]["spec"]["kafka"]["config"]
    assert config["default.replication.factor"] == 3
    assert config["min.insync.replicas"] == 2
    assert config["unclean.leader.election.enable"] is False
    assert config["auto.create.topics.enable"] is False


def test_the_topics_are_those_that_the_project_makes() -> None:
    partitions = topics.TopicSettings.model_fields["topic_partitions"].default
    wanted = {topic.name: topic for topic in topics._new_topics("tollgate", partitions, 3)}
    found = objects("production", "KafkaTopic")
    assert found.keys() == wanted.keys()
    for name, topic in wanted.items():
        spec = found[name]["spec"]
        assert spec["partitions"] == topic.num_partitions
        assert spec["replicas"] == topic.replication_factor
        shown = {key: str(value).lower() for key, value in spec["config"].items()}
        assert shown == {key: value.lower() for key, value in topic.topic_configs.items()}


def test_the_databases_of_the_demo_are_those_of_compose() -> None:
    script = (ROOT / "deploy/compose/databases.sql").read_text()
    for name in re.findall(r"CREATE DATABASE (\w+);", script):
        assert name in objects("demo", "ConfigMap")["demo-databases"]["data"]["databases.sql"]

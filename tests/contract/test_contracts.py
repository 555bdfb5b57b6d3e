"""`contracts/` is what other teams and yesterday's processes rely on."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from tollgate_common import lease_protocol
from tollgate_common.contracts import EVENTS_OF_TOPIC, breaking_differences, schema_of, schemas
from tollgate_common.events import encode
from tollgate_common.topics import Topic

CONTRACTS = Path(__file__).parents[2] / "contracts"
EXAMPLES = sorted((CONTRACTS / "examples").glob("*.json"))


def tags_of(topic: Topic) -> set[str]:
    types = [definition.get("properties", {}).get("type", {}) for definition in schema_of(topic)["$defs"].values()]
    return {tag for shape in types for tag in shape.get("enum", ())}


def topic_of(example: dict[str, Any]) -> Topic:
    return next(topic for topic in Topic if example["type"] in tags_of(topic))


@pytest.mark.parametrize("name", schemas())
def test_the_schema_in_the_repository_is_the_code_s(name: str) -> None:
    kept, schema = json.loads((CONTRACTS / f"{name}.schema.json").read_text()), schemas()[name]
    assert breaking_differences(kept, schema) == []
    assert kept == schema, "run `make contracts` and commit what it writes"


@pytest.mark.parametrize("of", lease_protocol.TYPES)
def test_each_type_of_the_lease_protocol_has_a_golden_example(of: type[msgspec.Struct]) -> None:
    content = (CONTRACTS / "examples" / "lease_protocol" / f"{of.__name__}.json").read_bytes()
    example = json.loads(content)
    assert json.loads(msgspec.json.encode(msgspec.json.decode(content, type=of))) == example
    schema = schemas()["lease_protocol"] | {"$ref": f"#/$defs/{of.__name__}"}
    jsonschema.validate(example, schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_a_golden_example_survives_being_read_and_written(file: Path) -> None:
    """Examples name every field and only grow: a renamed, removed or retyped field cannot pass here."""
    example = json.loads(file.read_text())
    topic = topic_of(example)
    event = msgspec.json.decode(file.read_bytes(), type=EVENTS_OF_TOPIC[topic])
    assert json.loads(encode(event)) == example
    jsonschema.validate(example, schema_of(topic), jsonschema.Draft202012Validator)


def test_every_event_has_a_golden_example() -> None:
    tags = {tag for topic in Topic for tag in tags_of(topic)}
    assert {file.stem for file in EXAMPLES} == tags


def test_an_unknown_field_is_passed_over() -> None:
    """Additive changes reach yesterday's readers."""
    example = json.loads((CONTRACTS / "examples" / "void.json").read_text()) | {"added_next_year": 1}
    msgspec.convert(example, EVENTS_OF_TOPIC[Topic.USAGE])


def remove_type(schema: dict[str, Any]) -> None:
    del schema["$defs"]["Void"]


def remove_field(schema: dict[str, Any]) -> None:
    del schema["$defs"]["TokensUsed"]["properties"]["estimated"]


def retype_field(schema: dict[str, Any]) -> None:
    schema["$defs"]["TokensUsed"]["properties"]["amount_nano"] = {"type": "number"}


def require_field(schema: dict[str, Any]) -> None:
    schema["$defs"]["TokensUsed"]["required"].append("estimated")


def remove_value(schema: dict[str, Any]) -> None:
    schema["$defs"]["Outcome"]["enum"].remove("broken")


@pytest.mark.parametrize("change", [remove_type, remove_field, retype_field, require_field, remove_value])
def test_each_kind_of_breaking_change_is_named(change: Any) -> None:
    old = schema_of(Topic.USAGE)
    new = copy.deepcopy(old)
    change(new)
    assert len(breaking_differences(old, new)) == 1


def test_additions_do_not_break() -> None:
    old = schema_of(Topic.USAGE)
    new = copy.deepcopy(old)
    new["$defs"]["TokensUsed"]["properties"]["region"] = {"type": "string", "default": ""}
    new["$defs"]["Refunded"] = {"properties": {}, "required": []}
    new["$defs"]["Outcome"]["enum"].append("redirected")
    assert breaking_differences(old, new) == []

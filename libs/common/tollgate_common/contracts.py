"""JSON Schemas of all topics and of the lease protocol, kept in `contracts/`.

`python -m tollgate_common.contracts contracts` writes them. It rejects a change that breaks a process of an earlier
version: such a change needs a new version of the topic or of the path.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tollgate_common import events, lease_protocol
from tollgate_common.topics import Topic

EVENTS_OF_TOPIC: dict[Topic, Any] = {
    Topic.REQUESTS: events.RequestEvent,
    Topic.USAGE: events.UsageEvent,
    Topic.CREDITS: events.CreditEvent,
    Topic.KEYS: events.KeyRecord,
    Topic.CATALOGUE: events.CatalogueRecord,
    Topic.BALANCES: events.BalanceRecord,
}

Schema = dict[str, Any]
LEASE_PROTOCOL = "lease_protocol"


def schema_of(topic: Topic) -> Schema:
    # As JSON has it: a tuple, such as an empty default, is a list there.
    schema: Schema = json.loads(json.dumps(msgspec.json.schema(EVENTS_OF_TOPIC[topic])))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": topic.value} | schema


def lease_protocol_schema() -> Schema:
    _, components = msgspec.json.schema_components(lease_protocol.TYPES, ref_template="#/$defs/{name}")
    header = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": LEASE_PROTOCOL}
    return header | {"$defs": json.loads(json.dumps(components))}


def schemas() -> dict[str, Schema]:
    """The schemas by their file's name without `.schema.json`."""
    return {topic.value: schema_of(topic) for topic in Topic} | {LEASE_PROTOCOL: lease_protocol_schema()}


def breaking_differences(old: Schema, new: Schema) -> list[str]:
    """List what breaks a reader or writer of the old schema, one sentence each. Empty if the change only adds.

    Types are compared by name. A change breaks if it removes a type, removes a field, changes a field's type, or makes
    a field required. A new type, or a new field with a default, does not break.
    """
    return list(_differences(old["$defs"], new["$defs"]))


def _differences(old: Schema, new: Schema) -> Iterator[str]:
    for name, before in old.items():
        if name not in new:
            yield f"{name} is gone"
            continue
        after = new[name]
        if "enum" in before:
            yield from (f"{name}: the value {value!r} is gone" for value in set(before["enum"]) - set(after["enum"]))
            continue
        for field, shape in before["properties"].items():
            if field not in after["properties"]:
                yield f"{name}.{field} is gone"
            elif _without_prose(after["properties"][field]) != _without_prose(shape):
                yield f"{name}.{field} has another type or default"
        for field in set(after["required"]) - set(before["required"]):
            yield f"{name}.{field} is newly required"


def _without_prose(shape: Schema) -> Schema:
    return {key: value for key, value in shape.items() if key not in {"description", "title"}}


def main() -> None:
    folder = Path(sys.argv[1])
    for name, new in schemas().items():
        file = folder / f"{name}.schema.json"
        differences = breaking_differences(json.loads(file.read_text()), new) if file.exists() else []
        if differences:
            sys.exit(f"contracts: {name} would break: {'; '.join(differences)}. Make a new version of it.")
        file.write_text(json.dumps(new, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

"""The JSON Schemas of all topics, kept in `contracts/`: `python -m tollgate_common.contracts contracts` writes them.

It refuses a change that would break a producer or consumer of yesterday; such a change is a new version of the topic.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tollgate_common import events
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


def schema_of(topic: Topic) -> Schema:
    # As JSON has it: a tuple, such as an empty default, is a list there.
    schema: Schema = json.loads(json.dumps(msgspec.json.schema(EVENTS_OF_TOPIC[topic])))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": topic.value} | schema


def breaking_differences(old: Schema, new: Schema) -> list[str]:
    """What a reader or writer of the old schema would stumble over, as sentences; empty if the change only adds.

    Types are compared by name: a type that is gone, a field that is gone, that has another type, or that is newly
    required breaks; a new type or a new field with a default does not.
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
    for topic in Topic:
        file = folder / f"{topic.value}.schema.json"
        new = schema_of(topic)
        differences = breaking_differences(json.loads(file.read_text()), new) if file.exists() else []
        if differences:
            sys.exit(
                f"contracts: {topic.value} would break: {'; '.join(differences)}. Make a new version of the topic."
            )
        file.write_text(json.dumps(new, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

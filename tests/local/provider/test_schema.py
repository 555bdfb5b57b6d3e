from typing import Any

import jsonschema
import pytest

from tollgate_local.provider.schema import example_value


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 9},
        {"type": ["integer", "null"], "minimum": 4},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 3},
        {"anyOf": [{"const": 5}, {"type": "string"}]},
        {"type": "object", "properties": {"a": {"enum": ["x"]}, "b": {"type": "null"}}, "required": ["a", "b"]},
        {"properties": {"inner": {"type": "object", "properties": {"n": {"type": "number"}}}}},
        {},
    ],
)
def test_the_value_fits(schema: dict[str, Any]) -> None:
    jsonschema.validate(example_value(schema), schema)


def test_a_schema_without_end_is_cut() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    schema["properties"]["again"] = schema
    assert example_value(schema)["again"]["again"]


@pytest.mark.parametrize(
    "schema",
    [
        None,
        True,
        {"type": "array", "minItems": 10**12},
        {"type": "string", "minLength": "long"},
        {"properties": [1, 2]},
        {"enum": 5},
        {"anyOf": {"b": 1}},
        {"type": []},
    ],
)
def test_an_odd_schema_does_no_harm(schema: Any) -> None:
    example_value(schema)

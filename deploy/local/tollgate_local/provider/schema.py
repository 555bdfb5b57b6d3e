"""Example values for simple JSON Schemas, used as tool arguments and structured output."""

from typing import Any, Final, TypeVar

KeywordT = TypeVar("KeywordT", dict[str, Any], list[Any], int)

# Deeper than any schema that OpenAI accepts (ten levels). It also bounds recursive schemas.
_MAX_DEPTH: Final = 12
_MAX_LENGTH: Final = 1_000


def example_value(schema: dict[str, Any] | bool | None, depth: int = 0) -> Any:
    """Return a minimal value for `schema`. Only common keywords are considered."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    if "const" in schema:
        return schema["const"]
    allowed = _keyword(schema, "enum", [])
    if allowed:
        return allowed[0]
    alternatives = _keyword(schema, "anyOf", []) or _keyword(schema, "oneOf", [])
    if alternatives:
        return example_value(alternatives[0], depth + 1)
    return _of_type(schema, depth)


def _of_type(schema: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else None)
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    match kind:
        case "object":
            properties = _keyword(schema, "properties", {})
            return {name: example_value(inner, depth + 1) for name, inner in properties.items()}
        case "array":
            return [example_value(schema.get("items"), depth + 1)] * max(1, _length(schema, "minItems"))
        case "string":
            return "river".ljust(_length(schema, "minLength"), "s")
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return None


def _length(schema: dict[str, Any], keyword: str) -> int:
    return min(_keyword(schema, keyword, 0), _MAX_LENGTH)


def _keyword(schema: dict[str, Any], keyword: str, default: KeywordT) -> KeywordT:
    """Return the value of a keyword, or `default` if it is missing or has another type."""
    value = schema.get(keyword)
    return value if isinstance(value, type(default)) else default

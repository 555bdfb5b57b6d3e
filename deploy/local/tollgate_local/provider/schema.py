"""A value that fits a simple JSON Schema: what a model's tool call or structured answer would hold."""

from typing import Any, Final, TypeVar

KeywordT = TypeVar("KeywordT", dict[str, Any], list[Any], int)

# Deeper than any schema OpenAI accepts (ten levels), and a bound for one that contains itself.
_DEEPEST: Final = 12
_LONGEST: Final = 1_000


def fitting_value(schema: dict[str, Any] | bool | None, depth: int = 0) -> Any:
    """The least value that fits `schema`; keywords other than the common ones are not looked at."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    if "const" in schema:
        return schema["const"]
    allowed = _keyword(schema, "enum", [])
    if allowed:
        return allowed[0]
    alternatives = _keyword(schema, "anyOf", []) or _keyword(schema, "oneOf", [])
    if alternatives:
        return fitting_value(alternatives[0], depth + 1)
    return _of_type(schema, depth)


def _of_type(schema: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else None)
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    match kind:
        case "object":
            properties = _keyword(schema, "properties", {})
            return {name: fitting_value(inner, depth + 1) for name, inner in properties.items()}
        case "array":
            return [fitting_value(schema.get("items"), depth + 1)] * max(1, _length(schema, "minItems"))
        case "string":
            return "river".ljust(_length(schema, "minLength"), "s")
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return None


def _length(schema: dict[str, Any], keyword: str) -> int:
    return min(_keyword(schema, keyword, 0), _LONGEST)


def _keyword(schema: dict[str, Any], keyword: str, default: KeywordT) -> KeywordT:
    """The keyword's value; a value of another type than `default` is no schema's, and is not looked at."""
    value = schema.get(keyword)
    return value if isinstance(value, type(default)) else default

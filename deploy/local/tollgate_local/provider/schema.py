"""A value that fits a simple JSON Schema: what a model's tool call or structured answer would hold."""

from typing import Any, Final

# Deeper than any schema OpenAI accepts (ten levels), and a bound for one that contains itself.
_DEEPEST: Final = 12
_LONGEST: Final = 1_000


def fitting_value(schema: dict[str, Any] | bool | None, depth: int = 0) -> Any:
    """The least value that fits `schema`; keywords other than the common ones are not looked at."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for alternatives in ("anyOf", "oneOf"):
        if schema.get(alternatives):
            return fitting_value(schema[alternatives][0], depth + 1)
    return _of_type(schema, depth)


def _of_type(schema: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else None)
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    match kind:
        case "object":
            properties = schema.get("properties") or {}
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
    length = schema.get(keyword)
    return min(length, _LONGEST) if isinstance(length, int) else 0

# ruff: noqa: INP001 -- a script beside a web application, in no package
"""Write the schemas that the console's pages use, from the services' OpenAPI documents; `--check` compares them.

`make api-types` writes them and generates `src/generated/` from them. `make check` compares. The schemas are those of
the calls that the console passes on, without texts, so they change only when types change.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from tollgate_accounts.api import build_app as build_accounts
from tollgate_accounts.rules import Rules
from tollgate_analytics.api.app import build_app as build_analytics
from tollgate_analytics.api.dependencies import Services
from tollgate_balance.accounts import api as balance_api
from tollgate_billing.app import build_app as build_billing
from tollgate_common.http import create_app
from tollgate_console.routes import ID, ROUTES

FOLDER = Path(__file__).parent
DOCUMENTS = FOLDER / "openapi"
TYPES = FOLDER.parent / "src/generated"
# Keywords that change no type.
TEXTS = ("title", "description", "summary", "examples", "example")
REF = re.compile(r"#/components/schemas/(.+)")

# No route runs, so the applications need no stores.
unused: Any = None


def build_balance() -> FastAPI:
    app = create_app("balance", ready=lambda: None)
    balance_api.add_routes(app, unused, unused)
    return app


SERVICES: dict[str, Callable[[], FastAPI]] = {
    "accounts": lambda: build_accounts(unused, unused, lambda: None, rules=Rules()),
    "analytics": lambda: build_analytics(Services(unused, unused, unused, unused, unused, unused, unused, unused)),
    "balance": build_balance,
    "billing": lambda: build_billing(unused, unused, unused, None, lambda: None),
}


def document(service: str) -> str:
    """Return the schemas of the requests and successful responses that pages use, as an OpenAPI document."""
    whole = SERVICES[service]().openapi()
    passed_on = {(route.method, route.path.pattern) for route in ROUTES if route.service == service}
    schemas = whole["components"]["schemas"]
    names: set[str] = set()
    for path, calls in whole["paths"].items():
        pattern = service + re.sub(r"\{\w+\}", lambda _: ID, path)
        for method, call in calls.items():
            if (method.upper(), pattern) in passed_on:
                successes = [response for status, response in call["responses"].items() if status.startswith("2")]
                _collect([successes, call.get("requestBody"), call.get("parameters")], schemas, names)
    part = {
        "openapi": whole["openapi"],
        "info": {"title": service, "version": "0"},
        "paths": {},
        "components": {"schemas": {name: _without_texts(schemas[name]) for name in sorted(names)}},
    }
    return json.dumps(part, indent=1, sort_keys=True) + "\n"


def _without_texts(node: Any) -> Any:
    """Copy a schema without its texts. A property may be called `title`; its value is a schema, which is kept."""
    if isinstance(node, list):
        return [_without_texts(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _without_texts(value)
        for name, value in node.items()
        if not (name in TEXTS and isinstance(value, str | list))
    }


def _collect(node: Any, schemas: dict[str, Any], names: set[str]) -> None:
    for name in _references(node):
        if name not in names:
            names.add(name)
            _collect(schemas[name], schemas, names)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _references(one)
    elif isinstance(node, dict):
        for name, value in node.items():
            found = REF.fullmatch(value) if name == "$ref" else None
            if found:
                yield found[1]
            else:
                yield from _references(value)


def main() -> int:
    texts = {service: document(service) for service in SERVICES}
    if sys.argv[1:] != ["--check"]:
        for service, text in texts.items():
            (DOCUMENTS / f"{service}.json").write_text(text)
        return 0
    stale = [service for service, text in texts.items() if not is_current(service, text)]
    if stale:
        sys.stderr.write(f"the console's types of {', '.join(stale)} are out of date; run `make api-types`\n")
    return 1 if stale else 0


def is_current(service: str, text: str) -> bool:
    """Whether the stored document is `text`, and the types were generated from it: they name its hash."""
    stored, types = DOCUMENTS / f"{service}.json", TYPES / f"{service}.ts"
    if not stored.is_file() or not types.is_file():
        return False
    return stored.read_text() == text and sha256(text.encode()).hexdigest() in types.read_text()


if __name__ == "__main__":
    sys.exit(main())

"""`tollgate prices`, `models`, `plans` and `quarantine`: commands that read and change the catalog."""

import argparse
import re
import sys
from typing import Any

from tollgate_billing.cli import tables
from tollgate_billing.cli.client import CLEAN, Client, moment

# The name and the nano-units of `input=150000000`, with an optional bound: `200000:input=300000000`.
PRICE = re.compile(r"(?:(\d+):)?([a-z0-9_]+)=(-?\d+)", re.ASCII)


def list_prices(client: Client, arguments: argparse.Namespace) -> int:
    query = {"model": arguments.model, "at": arguments.at, "as_of": arguments.as_of}
    given = {name: value for name, value in query.items() if value is not None}
    sys.stdout.write(tables.price_versions(client.ask("GET", "/v1/price-versions", given)))
    return CLEAN


def set_price(client: Client, arguments: argparse.Namespace) -> int:
    prices, tiers = _split(arguments.prices)
    body: dict[str, Any] = {
        "model": arguments.model,
        "provider": arguments.provider,
        "prices": prices,
        "tiers": tiers,
        "valid_from": arguments.start,
        "is_correction": arguments.correction,
        "is_new_model": arguments.new_model,
        "is_new_provider": arguments.new_provider,
    }
    if arguments.cost is not None:
        body["cost"], body["cost_tiers"] = _split(arguments.cost)
    version = client.ask("POST", "/v1/prices", body=body)
    sys.stdout.write(f"{version['price_version']} is in force from {version['valid_from']}\n")
    return CLEAN


def import_prices(client: Client, arguments: argparse.Namespace) -> int:
    body = {"providers": arguments.providers or None, "dry_run": arguments.dry_run}
    sys.stdout.write(tables.price_import(client.ask("POST", "/v1/price-imports", body=body)))
    return CLEAN


def describe_model(client: Client, arguments: argparse.Namespace) -> int:
    named = ("context_tokens", "max_output_tokens", "capabilities")
    metadata = {name: value for name in named if (value := getattr(arguments, name)) is not None}
    known = client.ask("POST", "/v1/models/describe", body={"model": arguments.model} | metadata)
    sys.stdout.write(tables.model_metadata(known))
    return CLEAN


def list_plans(client: Client, _arguments: argparse.Namespace) -> int:
    sys.stdout.write(tables.plans(client.ask("GET", "/v1/plans")))
    return CLEAN


def add_plan(client: Client, arguments: argparse.Namespace) -> int:
    body = {"plan": arguments.plan, "multiplier_bps": arguments.bps, "valid_from": arguments.start}
    return _print_plan(client.ask("POST", "/v1/plans", body=body))


def schedule_plan(client: Client, arguments: argparse.Namespace) -> int:
    body = {
        "multiplier_bps": arguments.bps,
        "valid_from": arguments.start,
        "is_correction": arguments.correction,
    }
    return _print_plan(client.ask("POST", f"/v1/plans/{arguments.plan}/versions", body=body))


def retire_plan(client: Client, arguments: argparse.Namespace) -> int:
    return _print_plan(client.ask("POST", f"/v1/plans/{arguments.plan}/retire", body={"retired_at": arguments.start}))


def list_quarantines(client: Client, _arguments: argparse.Namespace) -> int:
    sys.stdout.write(tables.quarantines(client.ask("GET", "/v1/quarantines")))
    return CLEAN


def place_quarantine(client: Client, arguments: argparse.Namespace) -> int:
    return _decide(client, "/v1/quarantines", arguments)


def lift_quarantine(client: Client, arguments: argparse.Namespace) -> int:
    return _decide(client, "/v1/quarantines/lift", arguments)


def _decide(client: Client, path: str, arguments: argparse.Namespace) -> int:
    body = {"model": arguments.model, "reason": arguments.reason}
    sys.stdout.write(tables.quarantines(client.ask("POST", path, body=body)))
    return CLEAN


def _print_plan(plan: dict[str, Any]) -> int:
    sys.stdout.write(tables.plans({"data": [plan]}))
    return CLEAN


def _split(words: list[tuple[int, str, int]]) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Split prices into the version's own and those of each tier."""
    by_bound: dict[int, dict[str, int]] = {}
    for bound, name, nano in words:
        by_bound.setdefault(bound, {})[name] = nano
    own = by_bound.pop(0, {})
    return own, [{"above_tokens": bound, "prices": prices} for bound, prices in sorted(by_bound.items())]


def _price(text: str) -> tuple[int, str, int]:
    parts = PRICE.fullmatch(text)
    if parts is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a price; expected input=150000000 (nano-units per million tokens), or "
            "200000:input=300000000 for prompts above 200000 tokens"
        )
    bound, name, nano = parts.groups()
    return int(bound or 0), name, int(nano)


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to `tollgate`."""
    _add_prices(
        commands.add_parser("prices", help="list, set and import prices").add_subparsers(
            metavar="action", required=True
        )
    )
    _add_models(
        commands.add_parser("models", help="describe a model's limits and capabilities").add_subparsers(
            metavar="action", required=True
        )
    )
    _add_plans(
        commands.add_parser("plans", help="list and change plans, which multiply prices").add_subparsers(
            metavar="action", required=True
        )
    )
    _add_quarantine(
        commands.add_parser("quarantine", help="list and change quarantined models").add_subparsers(
            metavar="action", required=True
        )
    )


def _add_prices(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    listing = actions.add_parser("list", help="list every version, or the ones in force or recorded at a time")
    listing.add_argument("model", nargs="?")
    listing.add_argument("--at", type=moment, help="only versions in force at this time")
    listing.add_argument("--as-of", type=moment, help="as recorded at this time; default now")
    listing.set_defaults(run=list_prices)
    setting = actions.add_parser("set", help="set a price from now, from a future time, or as a correction")
    setting.add_argument("model")
    setting.add_argument(
        "prices", nargs="+", type=_price, help="input=150000000, or 200000:input=300000000 above 200000 tokens"
    )
    setting.add_argument("--provider", required=True)
    setting.add_argument("--cost", nargs="+", type=_price, help="the provider's price; default: unchanged")
    setting.add_argument("--from", dest="start", type=moment, help="default now")
    setting.add_argument("--correction", action="store_true", help="correct the versions since --from")
    setting.add_argument("--new-model", action="store_true", help="confirm that the model is new")
    setting.add_argument("--new-provider", action="store_true", help="confirm that the provider is new")
    setting.set_defaults(run=set_price)
    importing = actions.add_parser("import", help="import new and changed prices from the bundled data")
    importing.add_argument("providers", nargs="*", help="default: the providers of the deployment")
    importing.add_argument("--dry-run", action="store_true", help="report the changes without making them")
    importing.set_defaults(run=import_prices)


def _add_models(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    describing = actions.add_parser("describe", help="set limits and capabilities; omitted ones stay")
    describing.add_argument("model")
    describing.add_argument(
        "--context", dest="context_tokens", type=int, help="maximum tokens of prompt and response together"
    )
    describing.add_argument("--max-output", dest="max_output_tokens", type=int, help="maximum tokens of a response")
    describing.add_argument(
        "--can", dest="capabilities", nargs="*", help="the complete list, such as tools vision; none clears it"
    )
    describing.set_defaults(run=describe_model)


def _add_plans(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    actions.add_parser("list", help="list every version of every plan").set_defaults(run=list_plans)
    for name, help_text, run in (
        ("add", "add a plan", add_plan),
        ("schedule", "set a multiplier from now or from a future time", schedule_plan),
        ("retire", "stop selling a plan; move its keys first", retire_plan),
    ):
        action = actions.add_parser(name, help=help_text)
        action.add_argument("plan")
        if run is not retire_plan:
            action.add_argument("bps", type=int, help="basis points of every price; 10000 leaves prices unchanged")
        if run is schedule_plan:
            action.add_argument("--correction", action="store_true", help="correct the versions since --from")
        action.add_argument("--from", dest="start", type=moment, help="default now")
        action.set_defaults(run=run)


def _add_quarantine(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    actions.add_parser("list", help="list quarantined models with reasons").set_defaults(run=list_quarantines)
    for name, help_text, run in (
        ("add", "quarantine a model", place_quarantine),
        ("lift", "lift a quarantine", lift_quarantine),
    ):
        action = actions.add_parser(name, help=help_text)
        action.add_argument("model")
        action.add_argument("--reason", required=True, help="the reason, stored permanently")
        action.set_defaults(run=run)

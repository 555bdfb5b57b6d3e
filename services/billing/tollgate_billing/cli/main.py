"""`tollgate`: what an operator types. It asks a running billing service.

It does not read the stores itself, so it needs one address and one secret instead of the credentials of three stores
and the internal token, it runs from a laptop, and what it prints is what the continuous reconciliation would say.
"""

import argparse
import os
import sys
from urllib.parse import quote

from tollgate_billing.cli import catalog as catalog_commands
from tollgate_billing.cli import tables
from tollgate_billing.cli.client import CLEAN, DIFFERENCES, TOKEN_VARIABLE, URL_VARIABLE, Client, moment, stop

DEFAULT_URL = "http://127.0.0.1:8082"


def main() -> None:
    arguments = _parser().parse_args()
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        stop(f"set {TOKEN_VARIABLE} to the operators' secret")
    client = Client(os.environ.get(URL_VARIABLE, DEFAULT_URL), token)
    sys.exit(arguments.run(client, arguments))


def reconcile(client: Client, arguments: argparse.Namespace) -> int:
    query = {"from": arguments.start, "to": arguments.end}
    report = client.ask(
        "POST", "/v1/reconciliations", {name: moment for name, moment in query.items() if moment is not None}
    )
    sys.stdout.write(tables.reconciliation(report))
    return CLEAN if report["is_clean"] else DIFFERENCES


def list_letters(client: Client, arguments: argparse.Namespace) -> int:
    query = {"limit": arguments.limit} | ({} if arguments.state == "all" else {"state": arguments.state})
    sys.stdout.write(tables.dead_letters(client.ask("GET", "/v1/dead-letters", query)))
    return CLEAN


def show_letter(client: Client, arguments: argparse.Namespace) -> int:
    sys.stdout.write(tables.dead_letter(client.ask("GET", _path(arguments.source))))
    return CLEAN


def retry_letter(client: Client, arguments: argparse.Namespace) -> int:
    client.ask("POST", _path(arguments.source, "/retry"))
    sys.stdout.write(f"{arguments.source} was sent again\n")
    return CLEAN


def discard_letter(client: Client, arguments: argparse.Namespace) -> int:
    client.ask("POST", _path(arguments.source, "/discard"), body={"reason": arguments.reason})
    sys.stdout.write(f"{arguments.source} is discarded: {arguments.reason}\n")
    return CLEAN


def _path(source: str, action: str = "") -> str:
    return f"/v1/dead-letters/{quote(source, safe='')}{action}"


def _parser() -> argparse.ArgumentParser:
    about = f"Reads {URL_VARIABLE} (default {DEFAULT_URL}) and {TOKEN_VARIABLE}."
    parser = argparse.ArgumentParser(prog="tollgate", description=about)
    commands = parser.add_subparsers(metavar="command", required=True)
    help_text = "prove that ledger, charges and reports agree; exit 1 if they differ, 2 if it could not be done"
    command = commands.add_parser("reconcile", help=help_text)
    command.add_argument("--from", dest="start", type=moment, help="what was sent at this time or later; default all")
    command.add_argument("--to", dest="end", type=moment, help="what was sent before this time; default now")
    command.set_defaults(run=reconcile)
    letters = commands.add_parser("dead-letters", help="messages that a consumer gave up")
    actions = letters.add_subparsers(metavar="action", required=True)
    listing = actions.add_parser("list", help="the newest of them")
    listing.add_argument("--state", choices=["open", "retried", "discarded", "all"], default="open")
    listing.add_argument("--limit", type=int, default=50)
    listing.set_defaults(run=list_letters)
    for name, help_text, run in (
        ("show", "one of them, with its payload", show_letter),
        ("retry", "send it again as it was", retry_letter),
        ("discard", "decide that it stays out; its gap stays, labelled", discard_letter),
    ):
        action = actions.add_parser(name, help=help_text)
        action.add_argument("source", help="topic:partition:offset, as `list` shows it")
        if run is discard_letter:
            action.add_argument("--reason", required=True, help="why; it is kept for ever")
        action.set_defaults(run=run)
    catalog_commands.add(commands)
    return parser


if __name__ == "__main__":
    main()

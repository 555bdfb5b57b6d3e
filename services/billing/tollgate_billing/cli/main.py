"""`tollgate`: the command for operators. It calls a running billing service.

It reads no store itself, so it needs one address and one secret instead of the credentials of three stores and the
internal token. It runs from a laptop, and its results are those of the continuous reconciliation.
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
        stop(f"{TOKEN_VARIABLE} is not set; set it to the operators' secret")
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
    help_text = "prove that ledger, charges and reports agree; exit 1 if they differ, 2 if it could not run"
    command = commands.add_parser("reconcile", help=help_text)
    command.add_argument(
        "--from", dest="start", type=moment, help="start of the time range, inclusive; default: all records"
    )
    command.add_argument("--to", dest="end", type=moment, help="end of the time range, exclusive; default now")
    command.set_defaults(run=reconcile)
    letters = commands.add_parser("dead-letters", help="messages that a consumer could not process")
    actions = letters.add_subparsers(metavar="action", required=True)
    listing = actions.add_parser("list", help="list the newest dead letters")
    listing.add_argument("--state", choices=["open", "retried", "discarded", "all"], default="open")
    listing.add_argument("--limit", type=int, default=50)
    listing.set_defaults(run=list_letters)
    for name, help_text, run in (
        ("show", "show one with its payload", show_letter),
        ("retry", "send it again unchanged", retry_letter),
        ("discard", "discard it; its gap stays, labeled", discard_letter),
    ):
        action = actions.add_parser(name, help=help_text)
        action.add_argument("source", help="topic:partition:offset, as `list` shows it")
        if run is discard_letter:
            action.add_argument("--reason", required=True, help="the reason, stored permanently")
        action.set_defaults(run=run)
    catalog_commands.add(commands)
    return parser


if __name__ == "__main__":
    main()

"""Responses as text tables, for people and for pipes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Json = dict[str, Any]

# The totals that must be zero, with their labels.
CHECKS = {
    "missing": "events missing",
    "dead_lettered": "events in the dead letters",
    "duplicated": "events counted twice",
    "ledger_minus_charges_nano": "ledger - charges (nano)",
    "charges_minus_usage_nano": "charges - usage (nano)",
    "charges_minus_rated_nano": "charges - rated again (nano)",
    "mismatches": "requests that differ between services",
    "misrated": "charges that differ from their price",
    "stale_sums": "stored sums that differ from their rows",
}
LISTS = {
    "unclosed_requests": "requests abandoned (opened, never closed)",
    "write_offs": "write-offs",
    "write_off_nano": "written off (nano)",
    "discarded": "events discarded by operators",
    "quarantined": "models quarantined",
}


def reconciliation(report: Json) -> str:
    """Render the checks with their values, then a line with the requests of each difference."""
    totals = report["totals"]
    start = report["start"] or "the beginning"
    lines = [f"reconciliation of {start} to {report['end']}: {report['compared_events']} events of usage compared"]
    if report.get("expired_before"):
        lines.append(
            f"nothing before {report['expired_before']} was reconciled, because those usage rows are no longer kept"
        )
    lines.append("")
    lines += _table(
        [("", name, str(totals[key]), "ok" if not totals[key] else "DIFFERS") for key, name in CHECKS.items()]
    )
    lines += _table([("", name, str(totals[key]), "") for key, name in LISTS.items()])
    details = [
        line for part in (_quarantined, _lag, _gaps, _doubled, _mismatches, _misrated, _others) for line in part(report)
    ]
    lines += ["", *details] if details else []
    if not report["is_complete"]:
        lines.append("there are more differences than this list shows")
    lines += ["", "no differences" if report["is_clean"] else "THERE ARE DIFFERENCES"]
    return "\n".join(lines) + "\n"


def dead_letters(page: Json) -> str:
    rows = [
        (letter["source"], letter["state"], letter["first_sent_at"], letter["request_id"] or "-")
        for letter in page["data"]
    ]
    if not rows:
        return "no dead letters\n"
    lines = _table([("SOURCE", "STATE", "SENT", "REQUEST"), *rows])
    lines += ["there are more; raise --limit"] if page["next_before"] else []
    return "\n".join(lines) + "\n"


def dead_letter(details: Json) -> str:
    names = ("source", "state", "decision_reason", "decided_at", "boot_id", "seq", "request_id", "account_id", "key")
    lines = _table([(name, str(details[name])) for name in names if details[name] is not None])
    for given_up in details["given_up"]:
        lines.append(f"rejected by {given_up['consumer']} at {given_up['sent_at']}: {given_up['reason']}")
        lines.append(f"  dead letter at {given_up['lies_at']}")
    lines += ["", details["text"] if details["text"] is not None else f"base64: {details['base64']}"]
    return "\n".join(lines) + "\n"


def price_versions(found: Json) -> str:
    """Render one line per version: its start, when it was recorded, its prices and its cost."""
    rows = [
        (
            version["price_version"],
            version["valid_from"],
            version["recorded_at"],
            version["source"] + (" (correction)" if version["is_correction"] else ""),
            _prices(version["prices"], version["tiers"]),
            "-" if version["cost"] is None else _prices(version["cost"], version["cost_tiers"]),
        )
        for model in found["data"]
        for version in model["versions"]
    ]
    header = ("VERSION", "VALID FROM", "RECORDED AT", "SOURCE", "PRICES", "COST")
    return "\n".join(_table([header, *rows]) if rows else ["no prices"]) + "\n"


def model_metadata(known: Json) -> str:
    names = ("model", "provider", "context_tokens", "max_output_tokens")
    rows = [(name, str(known[name])) for name in names if known[name] is not None]
    return "\n".join(_table([*rows, ("can", " ".join(known["capabilities"]) or "-")])) + "\n"


def price_import(result: Json) -> str:
    lines = []
    for change in result["added"]:
        version, before = change["version"], change["before"]
        was = "new" if before is None else f"was {_prices(before, [])}"
        lines.append(f"{version['price_version']}: {_prices(version['prices'], version['tiers'])} ({was})")
    lines += [f"{model} keeps the operator's price" for model in result["kept"]]
    lines += [f"{model} is left out: {reason}" for model, reason in result["left_out"].items()]
    done = "would be added" if result["dry_run"] else "added"
    lines.append(f"{len(result['added'])} versions {done}, {len(result['unchanged'])} models unchanged")
    return "\n".join(lines) + "\n"


def plans(found: Json) -> str:
    rows = [
        (
            version["plan_version"],
            version["valid_from"],
            version["recorded_at"],
            f"{version['multiplier_bps'] / 100:g}%",
            plan["retired_at"] or "-",
        )
        for plan in found["data"]
        for version in plan["versions"]
    ]
    return "\n".join(_table([("VERSION", "VALID FROM", "RECORDED AT", "OF PRICES", "RETIRED"), *rows])) + "\n"


def quarantines(found: Json) -> str:
    rows = [
        (each["model"], each["since"], each["dead_letter"] or "by an operator", each["reason"])
        for each in found["data"]
    ]
    if not rows:
        return "no model is quarantined\n"
    return "\n".join(_table([("MODEL", "SINCE", "DEAD LETTER", "WHY"), *rows])) + "\n"


def _prices(prices: Json, tiers: Sequence[Json]) -> str:
    text = " ".join(f"{name}={nano}" for name, nano in prices.items() if nano or name in {"input", "output"})
    return "; ".join([text, *(f"above {tier['above_tokens']}: {_prices(tier['prices'], [])}" for tier in tiers)])


def _quarantined(report: Json) -> Iterator[str]:
    for each in report["quarantined"]:
        yield f"quarantined since {each['since']}: {each['model']}: {each['reason']}"


def _lag(report: Json) -> Iterator[str]:
    for lag in report["lag"]:
        behind = lag["end"] - lag["next"]
        yield f"lag: {lag['service']} has yet to consume {behind} events of {lag['topic']}[{lag['partition']}]"


def _gaps(report: Json) -> Iterator[str]:
    for gap in report["gaps"]:
        what = "tail missing" if gap["is_tail"] else "missing"
        state = "" if gap["state"] == "lost" else f" ({gap['state']}: {gap['reason']})"
        yield (
            f"{what} in {gap['service']}: {gap['topic']}[{gap['partition']}] boot {gap['boot_id']} seq {gap['start']}"
            f"-{gap['end'] - 1}{_requests(gap['request_ids'])}{state}"
        )


def _doubled(report: Json) -> Iterator[str]:
    for doubled in report["doubled"]:
        place = f"offset {doubled['offset']}" if doubled["seq"] is None else f"seq {doubled['seq']}"
        yield (
            f"{doubled['copies']} times in {doubled['service']}: {doubled['topic']}[{doubled['partition']}] {place}"
            f"{_requests([doubled['request_id']])}"
        )


def _mismatches(report: Json) -> Iterator[str]:
    for mismatch in report["mismatches"]:
        amounts = ", ".join(f"{name} {_amounts(values)}" for name, values in mismatch["amounts_nano"].items())
        state = "" if mismatch["state"] == "lost" else f" ({mismatch['state']})"
        yield (
            f"differs: request {mismatch['request_id'] or '-'} of {mismatch['account_id']} at {mismatch['topic']}"
            f"[{mismatch['partition']}]@{mismatch['offset']}: {amounts} nano{state}"
        )


def _misrated(report: Json) -> Iterator[str]:
    for charge in report["misrated"]:
        rated = "nothing, being unknown" if charge["rated_nano"] is None else f"{charge['rated_nano']} nano"
        yield (
            f"misrated: request {charge['request_id']} of {charge['account_id']} is charged {charge['charged_nano']} "
            f"nano; {charge['price_version']} and {charge['plan_version']} make it {rated}"
        )


def _others(report: Json) -> Iterator[str]:
    for stale in report["stale_sums"]:
        drift = stale["drift"]
        yield (
            f"stale: {drift['what']} of {drift['where']} in {stale['service']} is {drift['stored']}; its rows make it "
            f"{drift['rows']}"
        )
    for request in report["unclosed"]:
        yield (
            f"never closed: request {request['request_id']} of {request['account_id']}, opened {request['opened_at']}, "
            f"charged {request['charged_nano']} nano"
        )
    for write_off in report["write_offs"]:
        yield (
            f"written off: {write_off['amount_nano']} nano of {write_off['account_id']} at {write_off['posted_at']}, "
            f"with {write_off['reference']}"
        )


def _requests(names: Sequence[str]) -> str:
    known = [name for name in names if name]
    return f", request {', '.join(known)}" if known else ""


def _amounts(values: Sequence[int]) -> str:
    return " + ".join(map(str, values)) or "none"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_line(row, widths) for row in rows]


def _line(row: Iterable[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

"""The operators' command: what it prints, how it ends, and what it says when it cannot."""

import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from tollgate_billing.cli import client, tables
from tollgate_billing.cli import main as command
from tollgate_billing.dead_letters.state import State
from tollgate_billing.reconciliation.report import Gap, Lag, Mismatch, Report, Totals

AT = datetime(2026, 11, 23, 5, tzinfo=UTC)
NOTHING = dict.fromkeys(Totals.model_fields, 0)


def report(**found: Any) -> dict[str, Any]:
    lists = ("lag", "gaps", "doubled", "mismatches", "misrated", "stale_sums", "unclosed", "write_offs", "quarantined")
    totals = Totals(**NOTHING | found.pop("totals", {}))
    fields: dict[str, Any] = dict.fromkeys(lists, ()) | found
    return Report(
        is_clean=not any(totals.differences.values()),
        start=None,
        end=AT,
        started_at=AT,
        finished_at=AT,
        compared_events=12,
        totals=totals,
        is_complete=True,
        **fields,
    ).model_dump(mode="json")


def test_a_clean_reconciliation_is_a_table_of_zeros() -> None:
    lines = tables.reconciliation(report()).splitlines()
    assert lines[0] == "reconciliation of the beginning to 2026-11-23T05:00:00Z: 12 events of usage compared"
    assert lines[-1] == "no differences"
    assert sum(line.endswith(" ok") for line in lines) == len(tables.CHECKS)


def test_each_difference_is_a_line_that_names_its_requests() -> None:
    gap = Gap(
        service="billing",
        topic="usage.v1",
        partition=3,
        boot_id="boot",
        start=4,
        end=6,
        state=State.DEAD_LETTERED,
        request_ids=("request-1",),
        reason="no price",
    )
    mismatch = Mismatch(
        topic="usage.v1",
        partition=3,
        offset=17,
        request_id="request-2",
        account_id="acc-a",
        amounts_nano={"balance": (5, 5), "billing": (5,), "analytics": ()},
        tokens={},
    )
    lag = Lag(service="balance", topic="usage.v1", partition=0, next=3, end=9)
    text = tables.reconciliation(
        report(
            gaps=(gap, gap.model_copy(update={"state": State.LOST, "is_tail": True, "request_ids": ()})),
            mismatches=(mismatch,),
            lag=(lag,),
            totals={"missing": 2, "ledger_minus_charges_nano": -5},
        )
    )
    assert "missing in billing: usage.v1[3] boot boot seq 4-5, request request-1 (dead_lettered: no price)" in text
    assert "tail missing in billing: usage.v1[3] boot boot seq 4-5\n" in text
    assert (
        "differs: request request-2 of acc-a at usage.v1[3]@17: balance 5 + 5, billing 5, analytics none nano" in text
    )
    assert "lag: balance has yet to consume 6 events of usage.v1[0]" in text
    assert text.splitlines()[-1] == "THERE ARE DIFFERENCES"
    assert sum("DIFFERS" in line for line in text.splitlines()) == 2


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["tollgate", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "required: command"),
        (("reconcile", "--from", "yesterday"), "'yesterday' is not a time; expected 2026-11-23"),
        (("dead-letters",), "required: action"),
        (("dead-letters", "discard", "usage.v1:0:1"), "required: --reason"),
    ],
)
def test_what_is_typed_wrongly_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert said in capsys.readouterr().err


def test_without_the_secret_or_a_service_it_ends_with_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(client.TOKEN_VARIABLE, raising=False)
    assert run(monkeypatch, "reconcile") == 2
    assert "TOLLGATE_OPERATOR_TOKEN is not set" in capsys.readouterr().err
    monkeypatch.setenv(client.TOKEN_VARIABLE, "a secret of this test")
    monkeypatch.setenv(client.URL_VARIABLE, "http://127.0.0.1:9")
    assert run(monkeypatch, "reconcile") == 2
    assert "http://127.0.0.1:9 is unavailable" in capsys.readouterr().err


class Refusing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b'{"detail": "the reconciliation could not be made: balance is away"}')

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass


def test_a_refusal_is_told_in_the_services_own_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv(client.TOKEN_VARIABLE, "a secret of this test")
        monkeypatch.setenv(client.URL_VARIABLE, f"http://127.0.0.1:{server.server_port}")
        assert run(monkeypatch, "reconcile") == 2
        server.shutdown()
        thread.join()
    assert "503: the reconciliation could not be made: balance is away" in capsys.readouterr().err

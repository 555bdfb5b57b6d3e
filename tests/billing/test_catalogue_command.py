"""`tollgate prices`, `plans` and `quarantine`: what they ask of the service, and what they print."""

import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from tollgate_billing.cli import client
from tollgate_billing.cli import main as command

AT = "2026-11-23T05:00:00Z"
VERSION = {
    "price_version": "m@2026-11-23.1",
    "valid_from": AT,
    "recorded_at": AT,
    "source": "operator",
    "is_correction": True,
    "prices": {"input": 5, "output": 0, "request_nano": 0},
    "tiers": [{"above_tokens": 9, "prices": {"input": 6, "output": 7}}],
    "cost": {"input": 1, "output": 2},
    "cost_tiers": [],
}
PLAN_VERSION = {"plan_version": "gold@1", "valid_from": AT, "recorded_at": AT, "multiplier_bps": 9_050}
PLAN = {"plan": "gold", "retired_at": None, "versions": [PLAN_VERSION | {"is_correction": False}]}
QUARANTINES = {"data": [{"model": "m", "provider": "p", "reason": "no price", "since": AT, "dead_letter": "t:0:7"}]}
ANSWERS: dict[str, Any] = {
    "/v1/prices": VERSION,
    "/v1/price-versions": {"data": [{"model": "m", "provider": "p", "context_tokens": None, "versions": [VERSION]}]},
    "/v1/models/describe": {
        "model": "m",
        "provider": "p",
        "context_tokens": None,
        "max_output_tokens": 9,
        "capabilities": ["tools", "vision"],
        "versions": [],
    },
    "/v1/price-imports": {
        "dry_run": True,
        "added": [{"model": "m", "version": VERSION, "before": {"input": 4, "output": 0}}],
        "unchanged": ["u"],
        "kept": ["k"],
        "left_out": {"l": "it is retired"},
    },
    "/v1/plans": PLAN | {"data": [PLAN]},
    "/v1/plans/gold/versions": PLAN,
    "/v1/plans/gold/retire": PLAN | {"retired_at": AT},
    "/v1/quarantines": QUARANTINES,
    "/v1/quarantines/lift": {"data": []},
}
PRICES = "input=5 output=0; above 9: input=6 output=7"


class Answering(BaseHTTPRequestHandler):
    asked: list[tuple[str, str, Any]]

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Any) -> None:
        type(self).asked.append((self.command, self.path, body))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(ANSWERS[self.path.partition("?")[0]]).encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, Any]]]:
    """What a service was asked that answers everything."""
    Answering.asked = []
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv(client.TOKEN_VARIABLE, "a secret of this test")
        monkeypatch.setenv(client.URL_VARIABLE, f"http://127.0.0.1:{server.server_port}")
        yield Answering.asked
        server.shutdown()
        thread.join()


def run(monkeypatch: pytest.MonkeyPatch, line: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["tollgate", *line.split()])
    with pytest.raises(SystemExit) as ended:
        command.main()
    return ended.value.code


SET = {"model": "m", "provider": "p", "valid_from": None, "is_new_provider": False}
IMPORTED = f"""m@2026-11-23.1: {PRICES} (was input=4 output=0)
k keeps the operator's price
l is left out: it is retired
1 versions would be added, 1 models unchanged
"""
Call = tuple[str, str, str, Any, str]
CALLS: list[Call] = [
    (
        "prices set m input=5 output=0 9:input=6 --provider p --new-model",
        "POST",
        "/v1/prices",
        SET
        | {
            "prices": {"input": 5, "output": 0},
            "tiers": [{"above_tokens": 9, "prices": {"input": 6}}],
            "is_correction": False,
            "is_new_model": True,
        },
        f"m@2026-11-23.1 is in force from {AT}",
    ),
    (
        "prices set m input=-5 --provider p --cost input=1 --from 2026-11-23T05:00:00Z --correction",
        "POST",
        "/v1/prices",
        SET
        | {
            "prices": {"input": -5},
            "tiers": [],
            "cost": {"input": 1},
            "cost_tiers": [],
            "valid_from": "2026-11-23T05:00:00+00:00",
            "is_correction": True,
            "is_new_model": False,
        },
        "is in force from",
    ),
    (
        "models describe m --max-output 9 --can tools vision",
        "POST",
        "/v1/models/describe",
        {"model": "m", "max_output_tokens": 9, "capabilities": ["tools", "vision"]},
        "model              m\nprovider           p\nmax_output_tokens  9\ncan                tools vision\n",
    ),
    (
        "prices list m --at 2026-11-23",
        "GET",
        "/v1/price-versions?model=m&at=2026-11-23T00%3A00%3A00%2B00%3A00",
        None,
        f"operator (correction)  {PRICES}",
    ),
    (
        "prices import --dry-run",
        "POST",
        "/v1/price-imports",
        {"providers": None, "dry_run": True},
        IMPORTED,
    ),
    ("plans list", "GET", "/v1/plans", None, "90.5%"),
    (
        "plans add gold 9050",
        "POST",
        "/v1/plans",
        {"plan": "gold", "multiplier_bps": 9050, "valid_from": None},
        "gold@1",
    ),
    (
        "plans schedule gold 9050 --correction --from 2026-11-23",
        "POST",
        "/v1/plans/gold/versions",
        {"multiplier_bps": 9050, "valid_from": "2026-11-23T00:00:00+00:00", "is_correction": True},
        "gold@1",
    ),
    ("plans retire gold", "POST", "/v1/plans/gold/retire", {"retired_at": None}, AT),
    ("quarantine list", "GET", "/v1/quarantines", None, "t:0:7"),
    ("quarantine add m --reason why", "POST", "/v1/quarantines", {"model": "m", "reason": "why"}, "no price"),
    (
        "quarantine lift m --reason why",
        "POST",
        "/v1/quarantines/lift",
        {"model": "m", "reason": "why"},
        "no model is quarantined",
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=[call[0] for call in CALLS])
def test_each_command_asks_and_prints(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: list[tuple[str, str, Any]],
    call: Call,
) -> None:
    line, method, path, body, printed = call
    assert run(monkeypatch, line) == 0
    assert asked == [(method, path, body)]
    assert printed in capsys.readouterr().out


def test_a_price_that_is_none_is_refused_before_anybody_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: list[tuple[str, str, Any]]
) -> None:
    assert run(monkeypatch, "prices set m input=0.5 --provider p") == 2
    assert "'input=0.5' is not a price; expected input=150000000" in capsys.readouterr().err
    assert asked == []

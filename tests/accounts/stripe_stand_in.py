"""A local stand-in for Stripe: it opens checkouts and signs the events that Stripe would send.

Follows Stripe's public reference (docs.stripe.com/api: checkout/sessions/create, events/types, idempotent_requests).
The tests have no network access to Stripe. The official library makes the requests and the signatures.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import stripe

API_KEY = "sk_test_stand_in"
WEBHOOK_SECRET = "whsec_stand_in"

Json = dict[str, Any]


class Asked(NamedTuple):
    """A request as the stand-in received it."""

    path: str
    idempotency_key: str
    form: dict[str, str]


class StripeStandIn:
    """The received requests, and the response: a checkout, or the status `failure` if that is set."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.failure: int | None = None
        self._sessions: dict[str, Json] = {}

    def answer(self, path: str, key: str, form: dict[str, str], authorization: str) -> tuple[int, Json]:
        self.asked.append(Asked(path, key, form))
        if self.failure is not None:
            return self.failure, {"error": {"type": "api_error", "message": "something went wrong"}}
        if authorization != f"Bearer {API_KEY}":
            return 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}
        if path != "/v1/checkout/sessions" or form.get("mode") != "payment":
            return 404, {"error": {"type": "invalid_request_error", "message": "Unrecognized request URL"}}
        # A repeated idempotency key gets the first response again.
        session = self._sessions.setdefault(key, self._session(form))
        return 200, session

    def _session(self, form: dict[str, str]) -> Json:
        amount = int(form["line_items[0][price_data][unit_amount]"]) * int(form["line_items[0][quantity]"])
        name = f"cs_test_{len(self._sessions)}"
        return {
            "id": name,
            "object": "checkout.session",
            "amount_total": amount,
            "currency": form["line_items[0][price_data][currency]"],
            "client_reference_id": form["client_reference_id"],
            "metadata": {"payment_id": form["metadata[payment_id]"]},
            "mode": "payment",
            "payment_intent": None,
            "payment_status": "unpaid",
            "status": "open",
            "url": f"https://checkout.stripe.com/c/pay/{name}",
        }


@contextmanager
def running_stripe() -> Iterator[StripeStandIn]:
    stand_in = StripeStandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            key, authorization = self.headers.get("Idempotency-Key", ""), self.headers.get("Authorization", "")
            status, answer = stand_in.answer(self.path, key, form, authorization)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()


# --- events ---------------------------------------------------------------------------------------------------------


class Story:
    """The events of one payment of `cents`. Each has its own id and is one second later than the previous one."""

    def __init__(self, payment_id: str, cents: int, currency: str = "usd") -> None:
        self.payment_id = payment_id
        self.intent = f"pi_{payment_id}"
        self._cents = cents
        self._currency = currency
        self._events = 0

    def completed(self, payment_status: str = "paid") -> Json:
        return self._session("checkout.session.completed", payment_status)

    def paid_later(self) -> Json:
        return self._session("checkout.session.async_payment_succeeded", "paid")

    def failed_later(self) -> Json:
        return self._session("checkout.session.async_payment_failed", "unpaid")

    def expired(self) -> Json:
        return self._session("checkout.session.expired", "unpaid")

    def refund(self, name: str, cents: int, status: str, kind: str = "refund.updated") -> Json:
        return self._reduction(kind, f"re_{name}_{self.payment_id}", "refund", cents, status)

    def dispute(self, cents: int, status: str, kind: str = "charge.dispute.updated") -> Json:
        return self._reduction(kind, f"dp_{self.payment_id}", "dispute", cents, status)

    def _session(self, kind: str, payment_status: str) -> Json:
        return self.event(
            kind,
            {
                "id": f"cs_{self.payment_id}",
                "object": "checkout.session",
                "amount_total": self._cents,
                "currency": self._currency,
                "metadata": {"payment_id": self.payment_id},
                "payment_intent": self.intent,
                "payment_status": payment_status,
            },
        )

    def _reduction(self, kind: str, name: str, thing: str, cents: int, status: str) -> Json:
        body = {"id": name, "object": thing, "amount": cents, "currency": self._currency, "status": status}
        return self.event(kind, body | {"charge": f"ch_{self.payment_id}", "payment_intent": self.intent})

    def event(self, kind: str, thing: Json) -> Json:
        self._events += 1
        return {
            "id": f"evt_{self._events}_{self.payment_id}",
            "object": "event",
            "type": kind,
            "created": 1_790_000_000 + self._events,
            "data": {"object": thing},
        }


def signed(event: Json, secret: str = WEBHOOK_SECRET, at: float | None = None) -> tuple[bytes, dict[str, str]]:
    """Return body and headers as Stripe sends them, signed by the official library."""
    body = json.dumps(event)
    header = stripe.WebhookSignature.generate_signature_header(body, secret, int(at or time.time()))
    return body.encode(), {"Stripe-Signature": header, "Content-Type": "application/json"}

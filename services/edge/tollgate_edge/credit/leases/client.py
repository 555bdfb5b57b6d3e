"""The balance service's lease calls over HTTP: docs/leases.md. One try each; `lease_desk` repeats.

LeaseError
├── NoAnswer    repeat the call unchanged: whether it had an effect is not known
├── BootFenced  the boot was declared dead: its leases are lost
└── NotAccepted the call will never do as it is
"""

from collections.abc import Sequence
from http import HTTPStatus
from math import inf
from typing import Any, NamedTuple

import httpx
import msgspec
from msgspec import to_builtins
from msgspec.structs import astuple

from tollgate_common.clock import boot_clock_s
from tollgate_common.errors import TollgateError
from tollgate_edge.credit.leases.state import Answer, Authorise, BudgetView, Call, Grant, LeaseView, Outcome

# An answer takes milliseconds; who has none by then repeats, without harm.
TIMEOUT_S = 5.0
CONNECTIONS = 32
# The most that the service takes as an amount. No account has so much: whoever asks for more is refused all the same.
MAX_NANO = 10**18


class LeaseError(TollgateError):
    pass


class NoAnswer(LeaseError):  # noqa: N818 - says what happened
    pass


class BootFenced(LeaseError):  # noqa: N818 - says what happened
    pass


class NotAccepted(LeaseError):  # noqa: N818 - says what happened
    pass


class Renewal(NamedTuple):
    lease_s: float
    shrink: frozenset[str]
    orphans: tuple[str, ...]
    # How many edge processes live, this one among them.
    edges: int


class _Renewal(msgspec.Struct):
    lease_ms: int
    shrink: list[str]
    orphans: list[str]
    edges: int = 1


class _Lease(msgspec.Struct):
    state: str
    authorised_nano: int
    settled_nano: int
    rev: int


class _Account(msgspec.Struct):
    posted_nano: int


class _Budget(msgspec.Struct):
    budget_id: str
    period: str
    amount_nano: int
    spent_nano: int
    resets_at: str | None = None


class _Answer(msgspec.Struct):
    outcome: Outcome
    account: _Account
    lease: _Lease | None = None
    retry_after_ms: int | None = None
    budget: _Budget | None = None
    period_ends_in_ms: int | None = None


class _Problem(msgspec.Struct):
    code: str = ""
    detail: str = ""


_renewal_decoder = msgspec.json.Decoder(_Renewal)
_answer_decoder = msgspec.json.Decoder(_Answer)
_problem_decoder = msgspec.json.Decoder(_Problem)
# Before the boot's first renewal has arrived a call is early, not wrong; without the right secret nothing is decided.
_NOT_NOW = {"boot_not_found", "invalid_token"}


class LeaseClient:
    def __init__(self, base_url: str, token: str, *, edge: str) -> None:
        """Build the client; connections are made when they are needed.

        Args:
            base_url: of the balance service.
            token: `TOLLGATE_INTERNAL_TOKEN`.
            edge: this edge's name, for the operator.
        """
        self._edge = edge
        self._http = httpx.AsyncClient(
            base_url=f"{base_url.rstrip('/')}/internal/v1",
            headers={"authorization": f"Bearer {token}"},
            # A call waits for a connection as long as it must: it is not repeated for that.
            timeout=httpx.Timeout(TIMEOUT_S, pool=None),
            limits=httpx.Limits(max_connections=CONNECTIONS),
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def renew(self, boot_id: str, leases: Sequence[str] | None) -> Renewal:
        """Renew the boot; `leases` are all that it knows, None leaves them out.

        Raises:
            NoAnswer, BootFenced, NotAccepted.
        """
        body = {"edge": self._edge, "leases": leases}
        answer = _renewal_decoder.decode(await self.send("POST", f"/boots/{boot_id}/renew", body))
        return Renewal(answer.lease_ms / 1000, frozenset(answer.shrink), tuple(answer.orphans), answer.edges)

    async def ask(self, call: Call) -> Answer:
        """Make one call.

        Raises:
            NoAnswer, BootFenced, NotAccepted.
        """
        sent_at_s = boot_clock_s()
        body: dict[str, Any] = {
            "boot_id": call.boot_id,
            "account_id": call.account_id,
            "wanted_nano": min(call.wanted_nano, MAX_NANO),
        }
        if isinstance(call, Grant):
            body |= {
                "needed_nano": min(call.needed_nano, MAX_NANO),
                "budgets": [to_builtins(budget) for budget in call.budgets],
            }
            content = await self.send("PUT", f"/leases/{call.lease_id}", body)
        else:
            assert isinstance(call, Authorise)
            body |= {"authorised_nano": min(call.authorised_nano, MAX_NANO), "close": call.close, "rev": call.rev}
            content = await self.send("POST", f"/leases/{call.lease_id}/authorised", body)
        answer = _answer_decoder.decode(content)
        budget, ends_in_ms = answer.budget, answer.period_ends_in_ms
        return Answer(
            answer.outcome,
            _view(answer.lease),
            answer.account.posted_nano,
            (answer.retry_after_ms or 0) / 1000,
            None if budget is None else BudgetView(*astuple(budget)),
            # Counted from before it was sent: the edge may think that a period ends a little early, never late.
            inf if ends_in_ms is None else sent_at_s + ends_in_ms / 1000,
        )

    async def send(self, method: str, path: str, body: dict[str, Any]) -> bytes:
        """Any call of the service's; its answer's body.

        Raises:
            NoAnswer, BootFenced, NotAccepted.
        """
        try:
            response = await self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise NoAnswer(f"no answer from the balance service: {error!r}") from error
        if response.is_success:
            return response.content
        problem = _problem(response)
        text = f"{method} {path}: {response.status_code} {problem.code} {problem.detail}"
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or problem.code in _NOT_NOW:
            raise NoAnswer(text)
        raise BootFenced(text) if problem.code == "boot_fenced" else NotAccepted(text)


def _view(lease: _Lease | None) -> LeaseView | None:
    if lease is None:
        return None
    return LeaseView(lease.state == "open", lease.authorised_nano, lease.settled_nano, lease.rev)


def _problem(response: httpx.Response) -> _Problem:
    try:
        return _problem_decoder.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Problem(detail="not a problem document")

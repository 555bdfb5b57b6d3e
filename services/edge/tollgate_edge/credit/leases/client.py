"""Client of the balance service's lease API (docs/leases.md). Each call is one attempt; `manager` retries.

LeaseError
├── NoAnswer     retry the call unchanged; whether it had an effect is unknown
├── BootFenced   the boot is fenced, so its leases are lost
└── NotAccepted  the call is invalid, so a retry cannot succeed
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import inf
from typing import Any, NamedTuple

import httpx
import msgspec

from tollgate_common import lease_protocol as protocol
from tollgate_common.clock import boot_clock_s
from tollgate_common.errors import TollgateError
from tollgate_common.lease_protocol import (
    MAX_NANO,
    PREFIX,
    BootRenewal,
    BudgetLimit,
    GrantLease,
    LeaseResponse,
    LeaseState,
    RenewBoot,
    lease_path,
    limit_path,
    renew_path,
)
from tollgate_edge.credit.leases.state import Answer, Call, Grant, LeaseView

# A response takes milliseconds. A retry after the timeout is safe.
TIMEOUT_S = 5.0
CONNECTIONS = 32


class LeaseError(TollgateError):
    pass


class NoAnswer(LeaseError):
    pass


class BootFenced(LeaseError):
    pass


class NotAccepted(LeaseError):
    pass


class Renewal(NamedTuple):
    lease_s: float
    shrink: frozenset[str]
    orphans: tuple[str, ...]
    # Number of live edge processes, including this one.
    edges: int


class _Problem(msgspec.Struct):
    code: str = ""
    detail: str = ""


_renewal_decoder = msgspec.json.Decoder(BootRenewal)
_answer_decoder = msgspec.json.Decoder(LeaseResponse)
_problem_decoder = msgspec.json.Decoder(_Problem)
# Error codes to retry: the first renewal of the boot has not arrived yet, or the secret is being changed.
_NOT_NOW = {"boot_not_found", "invalid_token"}


class LeaseClient:
    def __init__(self, base_url: str, token: str, *, edge: str) -> None:
        """Build the client. It connects with the first call.

        Args:
            base_url: URL of the balance service.
            token: `TOLLGATE_INTERNAL_TOKEN`.
            edge: this edge's name, for operators.
        """
        self._edge = edge
        self._http = httpx.AsyncClient(
            base_url=f"{base_url.rstrip('/')}{PREFIX}",
            headers={"authorization": f"Bearer {token}"},
            # A call waits for a free connection without a timeout, because a retry would only wait too.
            timeout=httpx.Timeout(TIMEOUT_S, pool=None),
            limits=httpx.Limits(max_connections=CONNECTIONS),
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def renew(self, boot_id: str, leases: Sequence[str] | None) -> Renewal:
        """Renew the boot. `leases` are all leases that it knows; None omits them.

        Raises:
            NoAnswer, BootFenced, NotAccepted.
        """
        body = RenewBoot(edge=self._edge, leases=None if leases is None else list(leases))
        answer = _renewal_decoder.decode(await self.send("POST", renew_path(boot_id), body))
        return Renewal(answer.lease_ms / 1000, frozenset(answer.shrink), tuple(answer.orphans), answer.edges)

    async def ask(self, call: Call) -> Answer:
        """Make one call.

        Raises:
            NoAnswer, BootFenced, NotAccepted.
        """
        sent_at_s = boot_clock_s()
        wanted_nano = min(call.wanted_nano, MAX_NANO)
        if isinstance(call, Grant):
            grant = GrantLease(
                boot_id=call.boot_id,
                account_id=call.account_id,
                needed_nano=min(call.needed_nano, MAX_NANO),
                wanted_nano=wanted_nano,
                budgets=[
                    BudgetLimit(budget_id=budget.budget_id, period=budget.period, amount_nano=budget.amount_nano)
                    for budget in call.budgets
                ],
            )
            content = await self.send("PUT", lease_path(call.lease_id), grant)
        else:
            update = protocol.UpdateLease(
                boot_id=call.boot_id,
                account_id=call.account_id,
                limit_nano=min(call.limit_nano, MAX_NANO),
                wanted_nano=wanted_nano,
                close=call.close,
                rev=call.rev,
            )
            content = await self.send("POST", limit_path(call.lease_id), update)
        answer = _answer_decoder.decode(content)
        ends_in_ms = answer.period_ends_in_ms
        return Answer(
            answer.outcome,
            _view(answer.lease),
            answer.account.posted_nano,
            (answer.retry_after_ms or 0) / 1000,
            answer.budget,
            # Measured from before the request, so that the edge ends a period a little early, never late.
            inf if ends_in_ms is None else sent_at_s + ends_in_ms / 1000,
        )

    async def send(self, method: str, path: str, body: msgspec.Struct | Mapping[str, Any]) -> bytes:
        """Send a request to the balance service and return the body of the response.

        Raises:
            NoAnswer, BootFenced, NotAccepted.
        """
        try:
            response = await self._http.request(
                method, path, content=msgspec.json.encode(body), headers={"content-type": "application/json"}
            )
        except httpx.TransportError as error:
            raise NoAnswer(f"no response from the balance service: {error!r}") from error
        if response.is_success:
            return response.content
        problem = _problem(response)
        text = f"{method} {path}: {response.status_code} {problem.code} {problem.detail}"
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or problem.code in _NOT_NOW:
            raise NoAnswer(text)
        raise BootFenced(text) if problem.code == "boot_fenced" else NotAccepted(text)


def _view(lease: protocol.LeaseView | None) -> LeaseView | None:
    if lease is None:
        return None
    return LeaseView(lease.state is LeaseState.OPEN, lease.limit_nano, lease.settled_nano, lease.rev)


def _problem(response: httpx.Response) -> _Problem:
    try:
        return _problem_decoder.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Problem(detail="not a problem document")

"""The manager of this edge's leases: renews them, makes the calls of each payer, and serves waiting reservations.

Guarantee: nothing new starts on a lease once its boot may be fenced. The manager measures this from before the last
successful renewal, on a clock that also advances during suspend. Crash window: credit that the leases of a killed edge
hold stays held until the balance service has fenced the boot and consumed its usage.

Leases have a boot id of their own, because that of events changes every day. The two need not be equal. Balance
releases the holds of a boot once the ledger has consumed all usage that was in the log when the boot was fenced, from
any writer. Usage carries its lease id, by which balance finds the hold.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from tollgate_common.clock import boot_clock_s
from tollgate_common.ids import new_id
from tollgate_common.lease_protocol import LeaseOutcome
from tollgate_common.retries import backoff, retry
from tollgate_edge.credit.leases.client import BootFenced, LeaseClient, LeaseError, NoAnswer, NotAccepted, Renewal
from tollgate_edge.credit.leases.state import (
    Call,
    Grant,
    Lease,
    Payer,
    PayerLease,
    PendingReservation,
    Reservation,
    UpdateLease,
    closing,
)
from tollgate_edge.http.errors import BalanceUnavailable, BudgetExceeded, CreditHeld, CreditSpent

log = logging.getLogger(__name__)

# Renewals per lease duration; and the part of the duration that is not used, as a margin for clock skew and for the
# time between admission and start of a request.
RENEWALS_A_LEASE = 4
MARGIN = 0.1
NAME_LEASES_EVERY_S = 30.0
TICK_S = 1.0
# Delays between two attempts of a call.
FIRST_DELAY_S, MAX_DELAY_S = 0.1, 2.0
# Time without any response, after which the balance service counts as unavailable for a waiting request.
UNANSWERED_S = 3.0
CLOSE_TIMEOUT_S = 5.0
# Orphans of older grants remain until the boot ends.
MAX_REPEATED = 10_000


class LeaseManager:
    def __init__(self, client: LeaseClient, *, credit_wait_s: float) -> None:
        """Build the manager; `run` starts it.

        Args:
            client: client of the balance service.
            credit_wait_s: how long a request may wait for credit that others hold.
        """
        self._client = client
        # Replaced if the balance service fences it.
        self._boot_id = new_id()
        self._credit_wait_s = credit_wait_s
        self._payer_leases: dict[Payer, PayerLease] = {}
        self._of_account: defaultdict[str, set[PayerLease]] = defaultdict(set)
        self._changed: dict[Payer, asyncio.Event] = {}
        # Leases of past budget periods, until their requests have ended.
        self._ended: list[Lease] = []
        # Grants that were sent more than once: an earlier attempt may succeed after a later one was rejected.
        self._sent_twice: dict[str, str] = {}
        self._group: asyncio.TaskGroup | None = None
        self._alive_until_s = 0.0
        self._renewed = asyncio.Event()
        self._renew_now = asyncio.Event()
        self._has_renewed = False
        self._edges = 1

    @property
    def boot_id(self) -> str:
        """The current boot of this edge at the balance service."""
        return self._boot_id

    def edges(self) -> int:
        """Number of live edge processes at the last renewal. They share the limits of every key."""
        return self._edges

    def waiting_for(self) -> str | None:
        """None after the first renewal.

        A balance service that becomes unavailable later does not make this edge unready.
        """
        return None if self._has_renewed else "the balance service"

    def is_alive(self) -> bool:
        return boot_clock_s() < self._alive_until_s

    # --- requests -----------------------------------------------------------------------------------------------------

    def try_reserve(self, payer: Payer, nano: int) -> Reservation | None:
        """Reserve from the current lease, without a call. This is the fast path."""
        payer_lease, now_s = self._payer_leases.get(payer), boot_clock_s()
        return payer_lease.try_reserve(nano, now_s) if payer_lease is not None and now_s < self._alive_until_s else None

    async def reserve(self, payer: Payer, least_nano: int, most_nano: int) -> Reservation:
        """Reserve at least `least_nano`, and preferably `most_nano`.

        Raises:
            CreditSpent: the account does not have the credit.
            CreditHeld: other requests hold the account's credit.
            BudgetExceeded: a budget does not have the amount left.
            BalanceUnavailable: the balance service did not respond.
        """
        return self.try_reserve(payer, most_nano) or await self._wait(payer, least_nano, most_nano, None)

    async def extend(self, reservation: Reservation, nano: int) -> None:
        """Extend a reservation.

        Raises:
            CreditSpent, CreditHeld, BudgetExceeded, BalanceUnavailable: as `reserve`.
        """
        if not reservation.try_extend(nano):
            await self._wait(reservation.payer, nano, nano, reservation)

    async def _wait(self, payer: Payer, least_nano: int, most_nano: int, extended: Reservation | None) -> Reservation:
        decided = asyncio.Event()
        pending = PendingReservation(least_nano, most_nano, decided.set)
        pending.extended = extended
        payer_lease = self._payer_lease(payer)
        payer_lease.enqueue(pending)
        self._kick(payer_lease)
        try:
            await self._until_decided(pending, decided)
        except BaseException:
            # Granted just as the request was canceled, so nothing will use it.
            if pending.reserved is not None and extended is None:
                pending.reserved.settle(0)
            raise
        finally:
            payer_lease.withdraw(pending)
        if pending.reserved is not None:
            return pending.reserved
        if pending.refusal is not None:
            left_nano, budget = pending.refusal
            raise CreditSpent(least_nano, left_nano) if budget is None else BudgetExceeded(least_nano, budget)
        raise CreditHeld if pending.is_heard else BalanceUnavailable()

    async def _until_decided(self, pending: PendingReservation, decided: asyncio.Event) -> None:
        first_s = min(UNANSWERED_S, self._credit_wait_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(first_s):
                await decided.wait()
        if not pending.is_decided and pending.is_heard:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._credit_wait_s - first_s):
                    await decided.wait()

    def _payer_lease(self, payer: Payer) -> PayerLease:
        payer_lease = self._payer_leases.get(payer)
        if payer_lease is None:
            payer_lease = self._payer_leases[payer] = PayerLease(payer, self._kick)
            self._of_account[payer.account_id].add(payer_lease)
        return payer_lease

    # --- the calls of a payer ---------------------------------------------------------------------------------------

    def _kick(self, payer_lease: PayerLease) -> None:
        """Wake the payer's worker, or start one."""
        changed = self._changed.get(payer_lease.payer)
        if changed is not None:
            changed.set()
        elif self._group is not None:
            self._changed[payer_lease.payer] = asyncio.Event()
            self._group.create_task(self._work(payer_lease))

    async def _work(self, payer_lease: PayerLease) -> None:
        """Serve a payer until no reservation waits and no credit is to be returned."""
        changed = self._changed[payer_lease.payer]
        try:
            while True:
                changed.clear()
                if self.is_alive():
                    self._end_period(payer_lease)
                    payer_lease.serve(boot_clock_s())
                    call = payer_lease.next_call(boot_clock_s(), self._boot_id, new_id)
                    if call is not None:
                        await self._make(payer_lease, call)
                        continue
                if not payer_lease.waiting:
                    return
                await self._until_changed(payer_lease, changed)
        finally:
            del self._changed[payer_lease.payer]

    def _end_period(self, payer_lease: PayerLease) -> None:
        ended = payer_lease.end_period(boot_clock_s())
        if ended is not None:
            self._ended.append(ended)

    async def _close_ended(self) -> None:
        """Close the unused leases of past periods. A failed call is retried at the next tick."""
        for lease in tuple(self._ended):
            call = closing(lease)
            if call is None:
                continue
            with suppress(NoAnswer):
                with suppress(BootFenced, NotAccepted):
                    await self._client.ask(call)
                if lease in self._ended:
                    self._ended.remove(lease)

    async def _until_changed(self, payer_lease: PayerLease, changed: asyncio.Event) -> None:
        """Wait until credit is free, a reservation arrives or may retry, or the boot is renewed."""
        again_s = min(pending.not_before_s for pending in payer_lease.waiting) - boot_clock_s()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(again_s, 0.0) if self.is_alive() else FIRST_DELAY_S):
                await changed.wait()

    async def _make(self, payer_lease: PayerLease, call: Call) -> None:
        """Retry a call until it has a response, because only then the state of the lease is known."""
        delays = backoff(FIRST_DELAY_S, MAX_DELAY_S)
        while True:
            try:
                answer = await self._client.ask(call)
            except NoAnswer as error:
                log.warning("a lease call failed and will be retried: %s", error)
                self._note_repeated(call)
                await asyncio.sleep(next(delays))
            except BootFenced:
                payer_lease.fail()
                self._rise_again(call.boot_id)
                return
            except NotAccepted as error:
                log.error("a lease call was rejected; its lease is dropped: %s", error)  # noqa: TRY400 - no traceback needed
                payer_lease.fail()
                await asyncio.sleep(next(delays))
                return
            else:
                payer_lease.take(answer, boot_clock_s())
                if answer.outcome is LeaseOutcome.RETRY:
                    self._shrink_others(payer_lease)
                if payer_lease.lease is not None and payer_lease.lease.boot_id != self._boot_id:
                    payer_lease.drop()
                return

    def _shrink_others(self, short: PayerLease) -> None:
        """Return idle credit under other budgets of the account now, before a renewal requests it."""
        for payer_lease in self._of_account[short.payer.account_id]:
            if payer_lease is not short and payer_lease.lease is not None:
                payer_lease.is_short = True
                self._kick(payer_lease)

    def _note_repeated(self, call: Call) -> None:
        if isinstance(call, Grant):
            self._sent_twice[call.lease_id] = call.account_id
            if len(self._sent_twice) > MAX_REPEATED:
                del self._sent_twice[next(iter(self._sent_twice))]

    # --- the life of the boot -----------------------------------------------------------------------------------------

    async def run(self, until_idle: Callable[[], Awaitable[None]]) -> None:
        """Run until canceled. Then wait for `until_idle` and close every unused lease.

        The balance service ends leases that are still in use then, when it fences the boot.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for payer_lease in self._payer_leases.values():
                    self._kick(payer_lease)
                group.create_task(self._tick_always())
                await self._renew_always()
        finally:
            self._group = None
            await until_idle()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await asyncio.gather(
                        self._close_ended(), *(self._close(payer_lease) for payer_lease in self._payer_leases.values())
                    )

    async def _close(self, payer_lease: PayerLease) -> None:
        call = payer_lease.close()
        while call is not None:
            try:
                # Until CLOSE_TIMEOUT_S ends it.
                answer = await retry(
                    partial(self._client.ask, call),
                    f"closing lease {call.lease_id}",
                    NoAnswer,
                    first_delay_s=FIRST_DELAY_S,
                    max_delay_s=MAX_DELAY_S,
                )
            except LeaseError:
                return
            # A call in flight at the end may have changed the revision of the lease.
            payer_lease.take(answer, boot_clock_s())
            call = payer_lease.close() if answer.outcome is LeaseOutcome.CONFLICT else None

    async def _renew_always(self) -> None:
        named_at_s, delays = -NAME_LEASES_EVERY_S, backoff(FIRST_DELAY_S, MAX_DELAY_S)
        while True:
            self._renew_now.clear()
            sent_at_s = boot_clock_s()
            names_leases = sent_at_s - named_at_s >= NAME_LEASES_EVERY_S
            boot_id = self._boot_id
            try:
                renewal = await self._client.renew(boot_id, self._lease_ids() if names_leases else None)
            except BootFenced:
                self._rise_again(boot_id)
                pause_s = 0.0
            except LeaseError as error:
                log.warning("the renewal of leases failed and will be retried: %s", error)
                pause_s = next(delays)
            else:
                named_at_s = sent_at_s if names_leases else named_at_s
                delays = backoff(FIRST_DELAY_S, MAX_DELAY_S)
                self._note_renewal(renewal, sent_at_s)
                pause_s = max(0.0, sent_at_s + renewal.lease_s / RENEWALS_A_LEASE - boot_clock_s())
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._renew_now.wait()

    def _note_renewal(self, renewal: Renewal, sent_at_s: float) -> None:
        self._alive_until_s = sent_at_s + renewal.lease_s * (1 - MARGIN)
        self._has_renewed = True
        self._edges = max(1, renewal.edges)
        for payer_lease in self._payer_leases.values():
            payer_lease.fade()
            payer_lease.is_short = payer_lease.lease is not None and payer_lease.lease.lease_id in renewal.shrink
            if payer_lease.waiting or payer_lease.is_short:
                self._kick(payer_lease)
        # Leases that were granted after the names were collected are not orphans.
        known = set(self._lease_ids())
        for lease_id in renewal.orphans:
            account_id = self._sent_twice.get(lease_id)
            if account_id is not None and lease_id not in known and self._group is not None:
                self._group.create_task(self._close_orphan(lease_id, account_id))

    async def _close_orphan(self, lease_id: str, account_id: str) -> None:
        """Close a lease that was granted after its call was abandoned.

        The next renewal reports it again if that fails.
        """
        call = UpdateLease(lease_id, self._boot_id, account_id, 0, 0, close=True, rev=2)
        with suppress(LeaseError):
            await self._client.ask(call)

    def _lease_ids(self) -> list[str]:
        ids = [
            payer_lease.lease.lease_id for payer_lease in self._payer_leases.values() if payer_lease.lease is not None
        ]
        ids += [lease.lease_id for lease in self._ended]
        return ids + [
            payer_lease.call.lease_id for payer_lease in self._payer_leases.values() if payer_lease.call is not None
        ]

    def _rise_again(self, boot_id: str) -> None:
        """Continue with a new boot after the balance service has fenced this one. Its leases are lost."""
        if boot_id != self._boot_id:
            return
        self._boot_id = new_id()
        self._alive_until_s = 0.0
        log.error("boot %s was fenced; its leases are dropped. The new boot is %s", boot_id, self._boot_id)
        for payer_lease in self._payer_leases.values():
            payer_lease.drop()
        self._ended.clear()
        self._renew_now.set()

    async def _tick_always(self) -> None:
        """Worker: close unused leases, and remove payers without a lease."""
        while True:
            await asyncio.sleep(TICK_S)
            await self._close_ended()
            for payer_lease in tuple(self._payer_leases.values()):
                payer_lease.tick()
                if payer_lease.lease is not None:
                    self._kick(payer_lease)
                elif payer_lease.is_empty and payer_lease.payer not in self._changed:
                    self._forget(payer_lease)

    def _forget(self, payer_lease: PayerLease) -> None:
        account_id = payer_lease.payer.account_id
        del self._payer_leases[payer_lease.payer]
        self._of_account[account_id].discard(payer_lease)
        if not self._of_account[account_id]:
            del self._of_account[account_id]

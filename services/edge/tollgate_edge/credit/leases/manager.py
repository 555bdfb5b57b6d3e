"""Keeps the leases of this edge: renews them, makes each wallet's calls, serves those who wait.

Guarantee: nothing new is started on a lease once its boot may have been declared dead, counted from before the last
answered renewal was sent, on a clock that runs through suspend. Crash window: what leases of a killed edge hold stays
held until the balance service has fenced its boot and consumed its usage.

The boot id of leases is one of their own, for events change theirs every day. It need not be the same: what a
boot's leases hold is released once the ledger has consumed all usage that was in the log when it was fenced, whoever
wrote it, and usage finds its hold by the lease id that it is stamped with.
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
    Reservation,
    UpdateLease,
    Want,
    closing,
)
from tollgate_edge.http.errors import BalanceUnavailable, BudgetExceeded, CreditHeld, CreditSpent

log = logging.getLogger(__name__)

# Renewals in the length of a lease, and the part of that length that is not counted on: clocks differ a little, and a
# request that was just let in takes a moment to begin.
RENEWALS_A_LEASE = 4
MARGIN = 0.1
NAME_LEASES_EVERY_S = 30.0
TICK_S = 1.0
# Between two tries of a call.
FIRST_DELAY_S, MAX_DELAY_S = 0.1, 2.0
# Until the balance service counts as unreachable for a request that waits for its first answer.
UNANSWERED_S = 3.0
CLOSE_TIMEOUT_S = 5.0
# An orphan among older ones stays until its boot ends.
MAX_REPEATED = 10_000


class LeaseManager:
    def __init__(self, client: LeaseClient, *, credit_wait_s: float) -> None:
        """Build it; `run` makes it work.

        Args:
            client: asks the balance service.
            credit_wait_s: how long a request may wait for credit that others hold.
        """
        self._client = client
        # Until the balance service declares it dead.
        self._boot_id = new_id()
        self._credit_wait_s = credit_wait_s
        self._wallets: dict[Payer, PayerLease] = {}
        self._of_account: defaultdict[str, set[PayerLease]] = defaultdict(set)
        self._changed: dict[Payer, asyncio.Event] = {}
        # Leases of past periods of their budgets, until the requests on them have ended.
        self._ended: list[Lease] = []
        # Grants that were sent more than once: an earlier sending may come through when a later one was refused.
        self._sent_twice: dict[str, str] = {}
        self._group: asyncio.TaskGroup | None = None
        self._alive_until_s = 0.0
        self._renewed = asyncio.Event()
        self._renew_now = asyncio.Event()
        self._has_renewed = False
        self._edges = 1

    @property
    def boot_id(self) -> str:
        """As the balance service knows this edge now."""
        return self._boot_id

    def edges(self) -> int:
        """How many edge processes lived at the last renewal: they share every key's limits."""
        return self._edges

    def waiting_for(self) -> str | None:
        """None once leases could be had; a balance service that goes away later does not make this edge unready."""
        return None if self._has_renewed else "the balance service"

    def is_alive(self) -> bool:
        return boot_clock_s() < self._alive_until_s

    # --- requests -----------------------------------------------------------------------------------------------------

    def try_reserve(self, payer: Payer, nano: int) -> Reservation | None:
        """The fast path: reserve from what is held already."""
        wallet, now_s = self._wallets.get(payer), boot_clock_s()
        return wallet.try_reserve(nano, now_s) if wallet is not None and now_s < self._alive_until_s else None

    async def reserve(self, payer: Payer, least_nano: int, most_nano: int) -> Reservation:
        """Reserve `most_nano` if that can be had, `least_nano` at least.

        Raises:
            CreditSpent, CreditHeld: the account cannot pay it, or not as long as others hold its credit.
            BudgetExceeded: a budget is spent.
            BalanceUnavailable: nobody could be asked.
        """
        return self.try_reserve(payer, most_nano) or await self._wait(payer, least_nano, most_nano, None)

    async def extend(self, reservation: Reservation, nano: int) -> None:
        """Let the reservation grow.

        Raises:
            as `reserve`.
        """
        if not reservation.try_extend(nano):
            await self._wait(reservation.payer, nano, nano, reservation)

    async def _wait(self, payer: Payer, least_nano: int, most_nano: int, extended: Reservation | None) -> Reservation:
        decided = asyncio.Event()
        want = Want(least_nano, most_nano, decided.set)
        want.extended = extended
        wallet = self._wallet(payer)
        wallet.enqueue(want)
        self._kick(wallet)
        try:
            await self._until_decided(want, decided)
        except BaseException:
            # Decided in the very moment in which the request gave up: nobody will use it.
            if want.reserved is not None and extended is None:
                want.reserved.settle(0)
            raise
        finally:
            wallet.withdraw(want)
        if want.reserved is not None:
            return want.reserved
        if want.refusal is not None:
            left_nano, budget = want.refusal
            raise CreditSpent(least_nano, left_nano) if budget is None else BudgetExceeded(least_nano, budget)
        raise CreditHeld if want.is_heard else BalanceUnavailable()

    async def _until_decided(self, want: Want, decided: asyncio.Event) -> None:
        first_s = min(UNANSWERED_S, self._credit_wait_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(first_s):
                await decided.wait()
        if not want.is_decided and want.is_heard:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._credit_wait_s - first_s):
                    await decided.wait()

    def _wallet(self, payer: Payer) -> PayerLease:
        wallet = self._wallets.get(payer)
        if wallet is None:
            wallet = self._wallets[payer] = PayerLease(payer, self._kick)
            self._of_account[payer.account_id].add(wallet)
        return wallet

    # --- the calls of a wallet ----------------------------------------------------------------------------------------

    def _kick(self, wallet: PayerLease) -> None:
        """Have somebody look at the wallet: its worker, or a new one."""
        changed = self._changed.get(wallet.payer)
        if changed is not None:
            changed.set()
        elif self._group is not None:
            self._changed[wallet.payer] = asyncio.Event()
            self._group.create_task(self._work(wallet))

    async def _work(self, wallet: PayerLease) -> None:
        """Serve a wallet until nobody waits and nothing is to be given back."""
        changed = self._changed[wallet.payer]
        try:
            while True:
                changed.clear()
                if self.is_alive():
                    self._end_period(wallet)
                    wallet.serve(boot_clock_s())
                    call = wallet.next_call(boot_clock_s(), self._boot_id, new_id)
                    if call is not None:
                        await self._make(wallet, call)
                        continue
                if not wallet.waiting:
                    return
                await self._until_changed(wallet, changed)
        finally:
            del self._changed[wallet.payer]

    def _end_period(self, wallet: PayerLease) -> None:
        ended = wallet.end_period(boot_clock_s())
        if ended is not None:
            self._ended.append(ended)

    async def _close_ended(self) -> None:
        """Close the leases of past periods that nobody uses any more. What goes wrong is tried again later."""
        for lease in tuple(self._ended):
            call = closing(lease)
            if call is None:
                continue
            with suppress(NoAnswer):
                with suppress(BootFenced, NotAccepted):
                    await self._client.ask(call)
                if lease in self._ended:
                    self._ended.remove(lease)

    async def _until_changed(self, wallet: PayerLease, changed: asyncio.Event) -> None:
        """Until credit came free, somebody new waits, somebody may ask again, or the boot lives again."""
        again_s = min(want.not_before_s for want in wallet.waiting) - boot_clock_s()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(again_s, 0.0) if self.is_alive() else FIRST_DELAY_S):
                await changed.wait()

    async def _make(self, wallet: PayerLease, call: Call) -> None:
        """Repeat a call until it is answered: only then is it known what the lease is."""
        delays = backoff(FIRST_DELAY_S, MAX_DELAY_S)
        while True:
            try:
                answer = await self._client.ask(call)
            except NoAnswer as error:
                log.warning("a lease call is repeated: %s", error)
                self._note_repeated(call)
                await asyncio.sleep(next(delays))
            except BootFenced:
                wallet.fail()
                self._rise_again(call.boot_id)
                return
            except NotAccepted as error:
                log.error("a lease is given up: %s", error)  # noqa: TRY400 - the text tells all
                wallet.fail()
                await asyncio.sleep(next(delays))
                return
            else:
                wallet.take(answer, boot_clock_s())
                if answer.outcome is LeaseOutcome.RETRY:
                    self._shrink_others(wallet)
                if wallet.lease is not None and wallet.lease.boot_id != self._boot_id:
                    wallet.drop()
                return

    def _shrink_others(self, short: PayerLease) -> None:
        """Give back what is idle under other budgets of the account: a renewal would only tell to do so."""
        for wallet in self._of_account[short.payer.account_id]:
            if wallet is not short and wallet.lease is not None:
                wallet.is_short = True
                self._kick(wallet)

    def _note_repeated(self, call: Call) -> None:
        if isinstance(call, Grant):
            self._sent_twice[call.lease_id] = call.account_id
            if len(self._sent_twice) > MAX_REPEATED:
                del self._sent_twice[next(iter(self._sent_twice))]

    # --- the life of the boot -----------------------------------------------------------------------------------------

    async def run(self, until_idle: Callable[[], Awaitable[None]]) -> None:
        """Work until cancelled; then wait for `until_idle` and give every unused lease back.

        Leases that are still in use then are left to the balance service, which fences the boot.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for wallet in self._wallets.values():
                    self._kick(wallet)
                group.create_task(self._tick_always())
                await self._renew_always()
        finally:
            self._group = None
            await until_idle()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await asyncio.gather(
                        self._close_ended(), *(self._close(wallet) for wallet in self._wallets.values())
                    )

    async def _close(self, wallet: PayerLease) -> None:
        call = wallet.close()
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
            # A call that was under way at the end may have moved the lease's rev.
            wallet.take(answer, boot_clock_s())
            call = wallet.close() if answer.outcome is LeaseOutcome.CONFLICT else None

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
                log.warning("leases are not renewed: %s", error)
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
        for wallet in self._wallets.values():
            wallet.fade()
            wallet.is_short = wallet.lease is not None and wallet.lease.lease_id in renewal.shrink
            if wallet.waiting or wallet.is_short:
                self._kick(wallet)
        # Those that were granted after the names were gathered are no orphans.
        known = set(self._lease_ids())
        for lease_id in renewal.orphans:
            account_id = self._sent_twice.get(lease_id)
            if account_id is not None and lease_id not in known and self._group is not None:
                self._group.create_task(self._close_orphan(lease_id, account_id))

    async def _close_orphan(self, lease_id: str, account_id: str) -> None:
        """A grant that came through when nobody waited for it any more. What goes wrong is told again when named."""
        call = UpdateLease(lease_id, self._boot_id, account_id, 0, 0, close=True, rev=2)
        with suppress(LeaseError):
            await self._client.ask(call)

    def _lease_ids(self) -> list[str]:
        ids = [wallet.lease.lease_id for wallet in self._wallets.values() if wallet.lease is not None]
        ids += [lease.lease_id for lease in self._ended]
        return ids + [wallet.call.lease_id for wallet in self._wallets.values() if wallet.call is not None]

    def _rise_again(self, boot_id: str) -> None:
        """The balance service counts this boot as dead: go on under a new name, without the leases of the old one."""
        if boot_id != self._boot_id:
            return
        self._boot_id = new_id()
        self._alive_until_s = 0.0
        log.error("boot %s was fenced; its leases are dropped, boot %s goes on", boot_id, self._boot_id)
        for wallet in self._wallets.values():
            wallet.drop()
        self._ended.clear()
        self._renew_now.set()

    async def _tick_always(self) -> None:
        """Worker: leases that nobody uses are given back, and wallets without a lease forgotten."""
        while True:
            await asyncio.sleep(TICK_S)
            await self._close_ended()
            for wallet in tuple(self._wallets.values()):
                wallet.tick()
                if wallet.lease is not None:
                    self._kick(wallet)
                elif wallet.is_empty and wallet.payer not in self._changed:
                    self._forget(wallet)

    def _forget(self, wallet: PayerLease) -> None:
        account_id = wallet.payer.account_id
        del self._wallets[wallet.payer]
        self._of_account[account_id].discard(wallet)
        if not self._of_account[account_id]:
            del self._of_account[account_id]

"""What the edges learn of a key: its record in `keys.v1`, which stands for the key as a whole."""

from datetime import UTC, datetime

from tollgate_accounts.keys import store
from tollgate_accounts.keys.store import ApiKey, Budgets
from tollgate_common.events import Budget, BudgetPeriod, KeyLimits, KeyRecord, UsageScope, encode
from tollgate_common.postgres import outbox
from tollgate_common.postgres.connection import Connection
from tollgate_common.topics import Topic

# Every account is on this plan.
STANDARD_PLAN = "standard"


async def publish_all(
    connection: Connection, account_id: str, *, is_suspended: bool, project_id: str | None = None
) -> int:
    """Tell again of an organization's keys, or of those of one project, in the caller's transaction.

    The row that changed, the organization's or the project's, must have been written before in the same transaction:
    a key that is being made waits for it then, and takes the new value.

    Returns how many keys were told of.
    """
    keys = await store.lock_keys(connection, account_id, project_id)
    if not keys:
        return 0
    await store.raise_versions(connection, [key.id for key in keys])
    projects = await store.budgets_of_projects(connection, account_id)
    messages = [
        message(
            account_id,
            key._replace(version=key.version + 1),
            projects.get(key.project_id or "", []),
            is_suspended=is_suspended,
        )
        for key in keys
    ]
    await outbox.add_many(connection, messages)
    return len(messages)


def message(account_id: str, key: ApiKey, project_budgets: Budgets, *, is_suspended: bool) -> outbox.Message:
    record = KeyRecord(
        key_id=key.id,
        account_id=account_id,
        name=key.name,
        plan=STANDARD_PLAN,
        project_id=key.project_id or "",
        expires_at=_utc(key.expires_at),
        models=tuple(key.models) if key.models is not None else None,
        allowed_ips=tuple(key.allowed_ips) if key.allowed_ips is not None else None,
        limits=KeyLimits(**key.limits),
        # A key that replaced another goes on in its budget.
        budgets=(
            *_budgets(f"key:{key.first_id}", key.budgets),
            *_budgets(f"project:{key.project_id}", project_budgets),
        ),
        usage_scope=UsageScope(key.usage_scope),
        suspended=is_suspended,
    )
    return outbox.Message(Topic.KEYS, key.key_hash, key.version, encode(record))


def _budgets(budget_id: str, budgets: Budgets) -> list[Budget]:
    return [
        Budget(budget_id=budget_id, period=BudgetPeriod(budget["period"]), amount_nano=budget["amount_nano"])
        for budget in budgets
    ]


def _utc(at: datetime | None) -> datetime | None:
    # PostgreSQL gives times in its session's time zone.
    return at.astimezone(UTC) if at is not None else None

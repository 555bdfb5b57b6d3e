"""The use cases of organizations, one function each; each is one transaction, or a part of the caller's."""

from tollgate_accounts.access import store as access_store
from tollgate_accounts.access.permissions import Member, Person
from tollgate_accounts.access.roles import Role
from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor
from tollgate_accounts.organizations import problems, store
from tollgate_accounts.organizations.store import Organization, OrganizationOfPerson
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Connection, Pool

# Each has limits of its own, such as those on requests: a person is not to have them without end.
MAX_ORGANIZATIONS = 10


async def create_within(connection: Connection, actor: Actor, owner_id: str, name: str) -> str:
    """A new organization with its first owner, in the caller's transaction; its id is the `account_id` from now on."""
    account_id = new_id()
    await store.insert_organization(connection, account_id, name, owner_id)
    await store.insert_membership(connection, account_id, owner_id, Role.OWNER)
    await audit.record(
        connection,
        actor,
        "organisation.created",
        ("organisation", account_id),
        account_id=account_id,
        details={"name": name},
    )
    return account_id


async def find(pool: Pool, account_id: str) -> Organization:
    async with pool.connection() as connection:
        organization = await store.find_organization(connection, account_id)
    assert organization is not None, "the caller is its member"
    return organization


async def list_of_person(pool: Pool, person_id: str) -> list[OrganizationOfPerson]:
    async with pool.connection() as connection:
        return await store.list_organizations(connection, person_id)


async def create(pool: Pool, caller: Person, name: str) -> Organization:
    """Another organization, of whom the caller is the owner.

    Raises:
        Problem: the person has founded enough of them.
    """
    async with pool.connection() as connection:
        await access_store.lock_person(connection, caller.person_id)
        if await store.count_founded(connection, caller.person_id) >= MAX_ORGANIZATIONS:
            raise problems.too_many_organizations(MAX_ORGANIZATIONS)
        account_id = await create_within(connection, caller.actor, caller.person_id, name)
        await store.settle_sessions(connection, account_id, caller.person_id)
        organization = await store.find_organization(connection, account_id)
    assert organization is not None, "it was just made"
    return organization


async def rename(pool: Pool, caller: Member, name: str) -> None:
    async with pool.connection() as connection:
        await store.rename_organization(connection, caller.account_id, name)
        await audit.record(
            connection,
            caller.actor,
            "organisation.renamed",
            ("organisation", caller.account_id),
            account_id=caller.account_id,
            details={"name": name},
        )


async def switch(pool: Pool, caller: Person, account_id: str) -> None:
    """Let the session be about another organization.

    Raises:
        Problem: the caller is no member there.
    """
    async with pool.connection() as connection:
        if not await store.switch_session(connection, caller.session_id, account_id):
            raise problems.organization_unknown()

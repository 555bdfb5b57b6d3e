"""The use cases of organisations, one function each; each is one transaction, or a part of the caller's."""

from tollgate_accounts.access.roles import Role
from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor
from tollgate_accounts.organisations import store
from tollgate_accounts.organisations.store import Organisation, OrganisationOfPerson
from tollgate_common.ids import new_id
from tollgate_common.postgres import Connection, Pool


async def create_within(connection: Connection, actor: Actor, owner_id: str, name: str) -> str:
    """A new organisation with its first owner, in the caller's transaction; its id is the `account_id` from now on."""
    account_id = new_id()
    await store.insert_organisation(connection, account_id, name)
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


async def find(pool: Pool, account_id: str) -> Organisation:
    async with pool.connection() as connection:
        organisation = await store.find_organisation(connection, account_id)
    assert organisation is not None, "the caller is its member"
    return organisation


async def list_of_person(pool: Pool, person_id: str) -> list[OrganisationOfPerson]:
    async with pool.connection() as connection:
        return await store.list_organisations(connection, person_id)

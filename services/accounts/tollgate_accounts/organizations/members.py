"""The use cases of members and invitations, one function each; each is one transaction."""

from datetime import timedelta

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Member as Caller
from tollgate_accounts.access.permissions import Person, token_hash
from tollgate_accounts.access.roles import Role
from tollgate_accounts.audit import store as audit
from tollgate_accounts.audit.store import Actor
from tollgate_accounts.emails import fold
from tollgate_accounts.mails import store as mails
from tollgate_accounts.mails.kinds import MailKind
from tollgate_accounts.organizations import problems, store
from tollgate_accounts.organizations.store import Invitation, Member, Withdrawn
from tollgate_common.ids import new_id
from tollgate_common.postgres.connection import Connection, Pool

INVITATION_LIFETIME = timedelta(days=7)
# Whom each role may invite; the others invite nobody.
INVITES = {Role.OWNER: frozenset(Role), Role.ADMIN: frozenset(Role) - {Role.OWNER}}


async def list_members(pool: Pool, account_id: str) -> list[Member]:
    async with pool.connection() as connection:
        return await store.list_members(connection, account_id)


async def change_role(pool: Pool, caller: Caller, person_id: str, role: Role) -> None:
    """Make a member something else. Their open invitations end, if with the new role they could not send them.

    Raises:
        Problem: there is no such member, the caller may not decide this, or it would leave no owner.
    """
    async with pool.connection() as connection:
        before = await _may_change(connection, caller, person_id, becomes=role)
        await store.set_role(connection, caller.account_id, person_id, role)
        await _withdraw_of(connection, caller, person_id, becomes=role)
        await audit.record(
            connection,
            caller.actor,
            "member.role_changed",
            ("person", person_id),
            account_id=caller.account_id,
            details={"from": before.value, "to": role.value},
        )


async def remove(pool: Pool, caller: Caller, person_id: str) -> None:
    """End a membership; everybody may end their own. Sessions that were about it go on in another organization, and the
    person's open invitations end.

    Raises:
        Problem: there is no such member, the caller may not decide this, or it would leave no owner.
    """
    async with pool.connection() as connection:
        role = await _may_change(connection, caller, person_id, becomes=None)
        await _remove(connection, caller.actor, caller.account_id, person_id, role)
        await _withdraw_of(connection, caller, person_id, becomes=None)


async def reclaim(connection: Connection, actor: Actor) -> list[str]:
    """Leave the actor alone in the organizations that they have founded and own, without open invitations, and take
    them out of those that they have founded and that are others' now. In the caller's transaction.

    Returns the organizations that are theirs alone.
    """
    founded = await store.list_founded(connection, actor.id)
    own = [account_id for account_id, role in founded.items() if role == Role.OWNER]
    for account_id in own:
        await _remove_others(connection, actor, account_id)
    for account_id in founded.keys() - own:
        await _remove(connection, actor, account_id, actor.id, founded[account_id])
    return own


async def _remove_others(connection: Connection, actor: Actor, account_id: str) -> None:
    # Nobody invites any more then, and who is just accepting an invitation is a member once that is withdrawn.
    await store.lock_members(connection, account_id)
    for gone in await store.delete_invitations(connection, account_id):
        await _record_withdrawal(connection, actor, account_id, gone)
    for person_id, role in (await store.lock_members(connection, account_id)).items():
        if person_id != actor.id:
            await _remove(connection, actor, account_id, person_id, role)


async def _remove(connection: Connection, actor: Actor, account_id: str, person_id: str, role: Role) -> None:
    await store.delete_membership(connection, account_id, person_id)
    await store.move_sessions(connection, account_id, person_id)
    await audit.record(
        connection,
        actor,
        "member.left" if person_id == actor.id else "member.removed",
        ("person", person_id),
        account_id=account_id,
        details={"role": role.value},
    )


async def _may_change(connection: Connection, caller: Caller, person_id: str, *, becomes: Role | None) -> Role:
    """What the member is now. The caller's own role is read again under the lock: it may have just changed."""
    roles = await store.lock_members(connection, caller.account_id)
    now = roles.get(person_id)
    if now is None:
        raise problems.member_not_found()
    callers = roles.get(caller.person_id)
    leaves = person_id == caller.person_id and becomes is None
    if Role.OWNER in (now, becomes) and callers != Role.OWNER:
        raise problems.owners_only()
    if not leaves and callers not in (Role.OWNER, Role.ADMIN):
        raise problems.owners_only()
    others = [role for person, role in roles.items() if person != person_id]
    if now == Role.OWNER and becomes != Role.OWNER and Role.OWNER not in others:
        raise problems.last_owner()
    return now


async def _withdraw_of(connection: Connection, caller: Caller, person_id: str, *, becomes: Role | None) -> None:
    kept = INVITES.get(becomes, frozenset()) if becomes is not None else frozenset[Role]()
    for gone in await store.delete_invitations_of(connection, caller.account_id, person_id, kept):
        await _record_withdrawal(connection, caller.actor, caller.account_id, gone)


async def _record_withdrawal(connection: Connection, actor: Actor, account_id: str, gone: Withdrawn) -> None:
    await audit.record(
        connection,
        actor,
        "invitation.withdrawn",
        ("invitation", gone.id),
        account_id=account_id,
        details={"email": gone.email},
    )


async def invite(pool: Pool, caller: Caller, email: str, role: Role) -> Invitation:
    """Let a mail with a token go to somebody, who need not have an account yet.

    Raises:
        Problem: the caller may not make owners, or nobody a member any more, or the e-mail is a member's.
    """
    async with pool.connection() as connection:
        # Read again: an invitation that is sent while its sender is removed must not outlive that.
        callers = await store.share_role(connection, caller.account_id, caller.person_id)
        if callers not in INVITES:
            raise access_problems.role_insufficient(*INVITES)
        if role not in INVITES[callers]:
            raise problems.owners_only()
        members = await store.list_members(connection, caller.account_id)
        if fold(email) in {fold(member.email) for member in members}:
            raise problems.already_member()
        organization = await store.find_organization(connection, caller.account_id)
        assert organization is not None, "the caller is its member"
        invitation = await store.upsert_invitation(
            connection,
            invitation_id=new_id(),
            account_id=caller.account_id,
            email=email,
            role=role,
            invited_by=caller.person_id,
            lifetime=INVITATION_LIFETIME,
        )
        details = {
            "invitation_id": invitation.id,
            "organization": organization.name,
            "role": role.value,
            "inviter": caller.email,
        }
        await mails.add(connection, MailKind.INVITATION, email, details)
        await audit.record(
            connection,
            caller.actor,
            "invitation.sent",
            ("invitation", invitation.id),
            account_id=caller.account_id,
            details={"email": email, "role": role.value},
        )
    return invitation


async def list_invitations(pool: Pool, account_id: str) -> list[Invitation]:
    async with pool.connection() as connection:
        return await store.list_invitations(connection, account_id)


async def withdraw(pool: Pool, caller: Caller, invitation_id: str) -> None:
    """End an invitation that was not accepted.

    Raises:
        Problem: there is none.
    """
    async with pool.connection() as connection:
        email = await store.delete_invitation(connection, caller.account_id, invitation_id)
        if email is None:
            raise problems.invitation_not_found()
        await _record_withdrawal(connection, caller.actor, caller.account_id, Withdrawn(invitation_id, email))


async def accept(pool: Pool, caller: Person, token: str) -> tuple[str, Role]:
    """Join the organization whose mail carried this token, and as what.

    Raises:
        Problem: the token does not work for this person, or they are a member already.
    """
    async with pool.connection() as connection:
        accepted = await store.take_invitation(connection, token_hash(token), caller.email)
        if accepted is None:
            raise problems.invitation_invalid()
        role = Role(accepted.role)
        if not await store.insert_membership(connection, accepted.account_id, caller.person_id, role):
            raise problems.already_joined()
        await store.settle_sessions(connection, accepted.account_id, caller.person_id)
        await audit.record(
            connection,
            caller.actor,
            "member.joined",
            ("person", caller.person_id),
            account_id=accepted.account_id,
            details={"role": role.value},
        )
    return accepted.account_id, role

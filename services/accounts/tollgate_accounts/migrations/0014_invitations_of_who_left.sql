-- Open invitations of who may not send them any more, from before these ended with their inviter's role.
DELETE FROM invitations WHERE NOT EXISTS (
    SELECT FROM memberships
    WHERE memberships.account_id = invitations.account_id AND memberships.person_id = invitations.invited_by
        AND (memberships.role = 'owner' OR memberships.role = 'admin' AND invitations.role <> 'owner')
);

-- What a person has sent and may not send any more, as who is left without these roles to give. Their tokens work no more.
DELETE FROM invitations
WHERE account_id = %(account_id)s AND invited_by = %(person_id)s AND role <> ALL(%(kept)s::text[])
RETURNING id::text AS id, email

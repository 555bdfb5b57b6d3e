-- No row comes back for an invitation that was withdrawn, or whose place another took, before its mail was sent.
UPDATE invitations SET token_hash = %(token_hash)s WHERE id = %(id)s RETURNING id

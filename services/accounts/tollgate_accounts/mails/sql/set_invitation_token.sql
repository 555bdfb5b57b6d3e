-- Returns no row if the invitation was withdrawn or replaced before its mail was sent.
UPDATE invitations SET token_hash = %(token_hash)s WHERE id = %(id)s RETURNING id

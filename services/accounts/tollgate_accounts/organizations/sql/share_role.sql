-- What a member is, and stays until the transaction ends.
SELECT role FROM memberships WHERE account_id = %(account_id)s AND person_id = %(person_id)s FOR SHARE

-- Sessions without an organization switch to the one that the person has founded or joined.
UPDATE sessions SET account_id = %(account_id)s WHERE person_id = %(person_id)s AND account_id IS NULL

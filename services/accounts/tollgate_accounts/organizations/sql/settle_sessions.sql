-- Who had no organization left goes on in the one that they founded or joined now.
UPDATE sessions SET account_id = %(account_id)s WHERE person_id = %(person_id)s AND account_id IS NULL

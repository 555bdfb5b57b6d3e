-- After the password was changed: whoever signed in with the old one is out. Without `kept`, all of them are.
DELETE FROM sessions WHERE person_id = %(person_id)s AND id IS DISTINCT FROM %(kept)s::uuid

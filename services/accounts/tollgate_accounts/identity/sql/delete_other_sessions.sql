-- Runs after a password change, so that the old password gives no access. Without `kept`, deletes all sessions.
DELETE FROM sessions WHERE person_id = %(person_id)s AND id IS DISTINCT FROM %(kept)s::uuid

-- Asked at the start of every operator's call, so that who is one no longer is stopped at once.
SELECT person_id FROM operators WHERE person_id = %(person_id)s

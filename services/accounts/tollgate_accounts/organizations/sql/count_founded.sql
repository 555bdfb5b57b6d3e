-- Whatever became of them: a person who passes an organization on has founded it all the same.
SELECT count(*) AS founded FROM organisations WHERE founded_by = %(person_id)s

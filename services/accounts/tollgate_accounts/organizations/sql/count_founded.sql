-- Counts every organization that the person founded, including those that they have passed on.
SELECT count(*) AS founded FROM organisations WHERE founded_by = %(person_id)s

-- Returns everyone who operates the deployment.
SELECT persons.id::text AS person_id, persons.email, operators.granted_at
FROM operators JOIN persons ON persons.id = operators.person_id
ORDER BY operators.granted_at, persons.id

-- A project starts without keys; each key joins by a change of its own.
INSERT INTO projects (id, account_id, name, budgets) VALUES (%(id)s, %(account_id)s, %(name)s, %(budgets)s)
RETURNING id::text AS id, name, budgets, created_at

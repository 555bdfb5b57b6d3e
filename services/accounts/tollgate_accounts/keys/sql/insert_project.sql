-- A project begins empty; keys are put into it one by one.
INSERT INTO projects (id, account_id, name, budgets) VALUES (%(id)s, %(account_id)s, %(name)s, %(budgets)s)
RETURNING id::text AS id, name, budgets, created_at

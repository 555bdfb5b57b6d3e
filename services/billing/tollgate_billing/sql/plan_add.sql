-- A plan that is not there yet.
INSERT INTO plans (plan) VALUES (%(plan)s) ON CONFLICT (plan) DO NOTHING RETURNING plan

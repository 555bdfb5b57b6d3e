-- Insert a plan. No row is returned if it exists.
INSERT INTO plans (plan) VALUES (%(plan)s) ON CONFLICT (plan) DO NOTHING RETURNING plan

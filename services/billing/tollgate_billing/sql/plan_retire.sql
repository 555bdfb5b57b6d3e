-- From then on the plan sells nothing. Said again, the earlier moment stays.
UPDATE plans SET retired_at = least(retired_at, %(retired_at)s) WHERE plan = %(plan)s

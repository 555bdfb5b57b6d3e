-- Retire a plan from a time on. A repetition keeps the earlier time.
UPDATE plans SET retired_at = least(retired_at, %(retired_at)s) WHERE plan = %(plan)s

-- To tell a repeated adjustment from another one under the same id.
SELECT account_id, amount_nano FROM adjustments WHERE adjustment_id = %(id)s

-- Distinguish a repeated adjustment from a different one with the same id.
SELECT account_id, amount_nano FROM adjustments WHERE adjustment_id = %(id)s

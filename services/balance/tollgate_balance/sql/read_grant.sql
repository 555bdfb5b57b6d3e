-- Distinguish a repeated grant from a different one with the same id.
SELECT account_id, amount_nano, source FROM grants WHERE grant_id = %(id)s

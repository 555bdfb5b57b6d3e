-- To tell a repeated grant from another one under the same id.
SELECT account_id, amount_nano, source FROM grants WHERE grant_id = %(id)s

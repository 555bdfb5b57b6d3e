-- Whether a dead letter has quarantined its model already.
SELECT FROM quarantine_decisions WHERE source = %(source)s AND decision = 'quarantined' LIMIT 1

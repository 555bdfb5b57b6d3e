-- Find whether a dead letter has already quarantined its model.
SELECT FROM quarantine_decisions WHERE source = %(source)s AND decision = 'quarantined' LIMIT 1

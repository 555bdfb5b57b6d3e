-- Read the quarantined models, with the reason, the time and the dead letter of each.
SELECT DISTINCT ON (model) models.model, models.provider, models.quarantined AS reason, decided_at AS since, source
FROM models JOIN quarantine_decisions USING (model)
WHERE models.quarantined IS NOT NULL AND decision = 'quarantined'
ORDER BY model, decision_id DESC

-- Record a decision about a model and its reason. It stays after later decisions.
INSERT INTO quarantine_decisions (model, decision, reason, source)
VALUES (%(model)s, %(decision)s, %(reason)s, %(source)s)

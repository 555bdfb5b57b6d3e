-- What was decided about a model, and why; it stays when it is decided otherwise.
INSERT INTO quarantine_decisions (model, decision, reason, source)
VALUES (%(model)s, %(decision)s, %(reason)s, %(source)s)

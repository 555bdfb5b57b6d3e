-- Record an operator's decision and its reason.
INSERT INTO dead_letter_decisions (source, decision, reason) VALUES (%(source)s, %(decision)s, %(reason)s)

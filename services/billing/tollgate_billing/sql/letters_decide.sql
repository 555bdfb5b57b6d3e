-- What an operator decided, and why.
INSERT INTO dead_letter_decisions (source, decision, reason) VALUES (%(source)s, %(decision)s, %(reason)s)

-- Sent after the commit, so that no mail tells of what did not happen.
INSERT INTO mails (id, kind, recipient, details) VALUES (%(id)s, %(kind)s, %(recipient)s, %(details)s)

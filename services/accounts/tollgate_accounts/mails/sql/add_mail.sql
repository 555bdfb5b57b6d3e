-- The mailer sends it after the commit, so that no mail reports what was rolled back.
INSERT INTO mails (id, kind, recipient, details) VALUES (%(id)s, %(kind)s, %(recipient)s, %(details)s)

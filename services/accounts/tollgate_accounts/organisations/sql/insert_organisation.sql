-- An organisation begins without members; its first owner joins in the same transaction.
INSERT INTO organisations (id, name) VALUES (%(id)s, %(name)s)

-- An organization begins without members; its first owner joins in the same transaction.
INSERT INTO organisations (id, name, founded_by) VALUES (%(id)s, %(name)s, %(founded_by)s)

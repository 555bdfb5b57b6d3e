-- Runs in the transaction of the action that it records.
INSERT INTO audit_log (id, account_id, actor_kind, actor_id, address, action, target_kind, target_id, details)
VALUES (
    %(id)s, %(account_id)s, %(actor_kind)s, %(actor_id)s, %(address)s, %(action)s, %(target_kind)s, %(target_id)s,
    %(details)s
)

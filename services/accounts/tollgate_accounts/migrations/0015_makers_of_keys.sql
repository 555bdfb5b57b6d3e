-- Who made a key, as the audit log tells; null where it tells nothing.
ALTER TABLE api_keys ADD COLUMN created_by uuid REFERENCES persons;
UPDATE api_keys SET created_by = persons.id
FROM audit_log JOIN persons ON persons.id::text = audit_log.actor_id
WHERE audit_log.action = 'key.created' AND audit_log.actor_kind = 'person'
    AND audit_log.target_kind = 'key' AND audit_log.target_id = api_keys.id::text;

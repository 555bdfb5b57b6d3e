-- What a person may have once, they may have once over all their organisations. The audit log tells who redeemed and who
-- founded; what is older than it was the account's one person, whose id is the account's.
ALTER TABLE promo_redemptions ADD COLUMN person_id uuid REFERENCES persons;
UPDATE promo_redemptions SET person_id = persons.id
FROM audit_log JOIN persons ON persons.id::text = audit_log.actor_id
WHERE audit_log.action = 'promo_code.redeemed' AND audit_log.actor_kind = 'person'
    AND audit_log.target_kind = 'grant' AND audit_log.target_id = promo_redemptions.grant_id::text;
UPDATE promo_redemptions SET person_id = persons.id
FROM persons WHERE promo_redemptions.person_id IS NULL AND persons.id = promo_redemptions.account_id;
CREATE INDEX promo_redemptions_of_person ON promo_redemptions (person_id);

ALTER TABLE organisations ADD COLUMN founded_by uuid REFERENCES persons;
UPDATE organisations SET founded_by = persons.id
FROM audit_log JOIN persons ON persons.id::text = audit_log.actor_id
WHERE audit_log.action = 'organisation.created' AND audit_log.actor_kind = 'person'
    AND audit_log.target_kind = 'organisation' AND audit_log.target_id = organisations.id::text;
UPDATE organisations SET founded_by = persons.id
FROM persons WHERE organisations.founded_by IS NULL AND persons.id = organisations.id;
CREATE INDEX organisations_of_founder ON organisations (founded_by);

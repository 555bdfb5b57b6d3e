-- Persons who run the deployment: a role apart, which no organisation gives.
CREATE TABLE operators (
    person_id uuid PRIMARY KEY REFERENCES persons,
    granted_at timestamptz(3) NOT NULL DEFAULT now()
);

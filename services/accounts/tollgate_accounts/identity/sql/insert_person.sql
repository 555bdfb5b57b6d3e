-- Returns no row if the address is taken. Of concurrent sign-ups with one address, one gets a row.
INSERT INTO persons (id, email, email_folded, password_hash, sign_up_promo_code)
VALUES (%(id)s, %(email)s, %(email_folded)s, %(password_hash)s, %(promo_code)s)
ON CONFLICT (email_folded) DO NOTHING
RETURNING id

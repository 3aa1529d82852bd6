-- When a key ends by itself; rotation sets it for the key that is replaced.
ALTER TABLE api_keys ADD COLUMN expires_at TEXT;

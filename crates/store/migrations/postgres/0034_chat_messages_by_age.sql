-- What has outlived its time is looked for in all rooms of a tenant.
CREATE INDEX chat_messages_by_age ON chat_messages (tenant, created_at);

-- Keeps what the database has said, unless it was changed since the database was asked.
-- KEYS: what is known, its mark, the changes under way. ARGV: the mark from before the database was asked, what it said, known_ms, mark_ms.
-- Answers whether it is kept.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1

-- Notes among a tenant's sessions that one of them is kept.
-- KEYS: the tenant's list (id, score: when it was last noted). ARGV: id, kept_ms, for how long the list lasts in ms.
-- Answers up to two ids that nobody has noted for kept_ms: they may be gone.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]), 'LIMIT', 0, 2)

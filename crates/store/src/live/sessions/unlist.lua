-- Takes from a tenant's sessions those that were noted long ago: they are forgotten.
-- KEYS: the tenant's list. ARGV: so many ms ago.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]))

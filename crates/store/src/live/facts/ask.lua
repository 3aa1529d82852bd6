-- What is known of a key or a tenant.
-- KEYS: what is known, its mark, the changes under way. ARGV: a mark for whoever is the first to ask, mark_ms.
-- Answers the mark ('' while it is being changed), and behind it what is known, if anything is.
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
if redis.call('EXISTS', KEYS[3]) == 1 then return { '' } end
local mark = redis.call('GET', KEYS[2])
if not mark then
  -- what has lost its mark may be older than a change
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  return { ARGV[1] }
end
local known = redis.call('GET', KEYS[1])
if known then return { mark, known } end
return { mark }

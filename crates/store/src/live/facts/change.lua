-- Forgets what is known, and every mark that was given out. Several changes may be under way; each ends its own.
-- KEYS: what is known, its mark, the changes under way. ARGV: the change, for how long nothing is kept because of it, in ms;
-- 0 when it is over.
redis.call('DEL', KEYS[1], KEYS[2])
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[3], ARGV[1])
else
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
  -- the last to begin is the last to run out
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
end
return 0

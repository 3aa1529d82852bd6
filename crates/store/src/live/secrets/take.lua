-- Reads a client secret and deletes it in the same step.
-- KEYS: the secret, the index of those waiting, the sum of their bytes. ARGV: its digest.
local entry = redis.call('GETDEL', KEYS[1])
if entry and redis.call('ZREM', KEYS[2], ARGV[1] .. ' ' .. #entry) == 1 then
  redis.call('DECRBY', KEYS[3], #entry)
end
return entry

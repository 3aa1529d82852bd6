-- Keeps a client secret, if there is room.
-- KEYS: the secret, the index of those waiting (member "DIGEST BYTES", score: when it expires), the sum of their bytes.
-- ARGV: its digest, what it stands for, when it expires, now (Unix s), how many may wait, how many bytes they may have.
-- Answers 0, 1 when too many are waiting, 2 when they carry too much.
local now, bytes = tonumber(ARGV[4]), #ARGV[2]

-- a put forgets up to 100 that have expired, so that what a call costs has a bound; Redis itself deletes their content
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], member)
  redis.call('DECRBY', KEYS[3], string.match(member, '%d+$'))
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[5]) then
  return 1
end
if tonumber(redis.call('GET', KEYS[3]) or '0') + bytes > tonumber(ARGV[6]) then
  return 2
end
local life = tonumber(ARGV[3]) - now
if life > 0 then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', life)
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1] .. ' ' .. bytes)
  redis.call('INCRBY', KEYS[3], bytes)
  -- both go with the last secret, with some time for clocks that differ
  redis.call('EXPIRE', KEYS[2], 1200)
  redis.call('EXPIRE', KEYS[3], 1200)
end
return 0

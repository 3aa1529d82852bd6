-- Adds to a room, remembers by its key what was added, and publishes it with its place; once.
-- KEYS: stream, what is known by the key. ARGV: text, key, most entries, kept in ms, channel, payload in three parts.
local known = redis.call('GET', KEYS[2])
if known then
  return { known, 0 }
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local before = last[1] and last[1][1] or ''
local place = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 't', ARGV[1], 'k', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('SET', KEYS[2], place, 'PX', ARGV[4])
if ARGV[5] ~= '' then
  redis.call('PUBLISH', ARGV[5], ARGV[6] .. place .. ARGV[7] .. before .. ARGV[8])
end
return { place, 1 }

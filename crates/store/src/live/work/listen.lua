-- A listener is there, and has read its inbox up to an entry.
-- ARGV: listener, how long that is believed (ms), the entry. Answers whether it was known before.
local known = redis.call('EXISTS', base .. 'listener:' .. ARGV[1])
redis.call('SET', base .. 'listener:' .. ARGV[1], 1, 'PX', ARGV[2])
if ARGV[3] ~= '0-0' then redis.call('XTRIM', inbox_of(ARGV[1]), 'MINID', ARGV[3]) end
redis.call('PEXPIRE', inbox_of(ARGV[1]), ARGV[2])
return known

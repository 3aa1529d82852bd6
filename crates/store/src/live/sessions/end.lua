-- A session has come to its end.
-- KEYS: record, items, their order, sign of life. ARGV: number of the hold.
local known = redis.call('HGET', KEYS[1], 'number')
if known and tonumber(known) <= tonumber(ARGV[1]) then redis.call('DEL', unpack(KEYS)) end
return 0

-- A session has come to its end.
-- KEYS: record, items, their order, sign of life. ARGV: number of the hold, or '' where it ends whoever holds it.
-- Answers whether there is none any more.
local known = redis.call('HGET', KEYS[1], 'number')
if known and ARGV[1] ~= '' and tonumber(known) > tonumber(ARGV[1]) then return 0 end
redis.call('DEL', unpack(KEYS))
return 1

-- What the holder of a session says.
-- KEYS: record, items, their order, sign of life. ARGV: number of the hold, node, kept_ms, alive_ms, items_max, project
-- (when the session is written whole, else ''), wrapped key (likewise), head, state, parted (each behind a '+', or ''),
-- how many items are removed, their ids, then id, position and content of those put.
-- Answers 0, 1 when another holds it now, 2 when there is none.
local record, items, order, alive = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local number, whole = tonumber(ARGV[1]), ARGV[6] ~= ''
local known = redis.call('HGET', record, 'number')
if known and tonumber(known) > number then return 1 end
if whole then
  redis.call('DEL', record, items, order)
  redis.call('HSET', record, 'number', ARGV[1], 'node', ARGV[2], 'project', ARGV[6], 'key', ARGV[7])
elseif not known then
  return 2
end
local parts = { 'head', 'state', 'parted' }
for at = 1, 3 do
  local text = ARGV[7 + at]
  if text ~= '' then redis.call('HSET', record, parts[at], string.sub(text, 2)) end
end
local gone = tonumber(ARGV[11])
for at = 12, 11 + gone do
  redis.call('HDEL', items, ARGV[at])
  redis.call('ZREM', order, ARGV[at])
end
for at = 12 + gone, #ARGV, 3 do
  redis.call('HSET', items, ARGV[at], ARGV[at + 2])
  redis.call('ZADD', order, ARGV[at + 1], ARGV[at])
end
local over = redis.call('ZCARD', order) - tonumber(ARGV[5])
if over > 0 then
  local oldest = redis.call('ZPOPMIN', order, over)
  for at = 1, #oldest, 2 do redis.call('HDEL', items, oldest[at]) end
end
for at = 1, 3 do redis.call('PEXPIRE', KEYS[at], ARGV[3]) end
if ARGV[10] == '' then
  redis.call('SET', alive, ARGV[2], 'PX', ARGV[4])
else
  redis.call('DEL', alive)
end
return 0

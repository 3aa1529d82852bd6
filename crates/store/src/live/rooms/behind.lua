-- What was told in a room behind a place, or behind what is known by a key.
-- KEYS: stream, what is known by the key. ARGV: place ('' where there is a key), most entries.
local place = ARGV[1]
if KEYS[2] then
  place = redis.call('GET', KEYS[2])
end
local there = false
if place and place ~= '' then
  there = #redis.call('XRANGE', KEYS[1], place, place) > 0
  -- streams are trimmed now and then, and may be longer than they should
  local most = 2 * tonumber(ARGV[2])
  local found = redis.call('XRANGE', KEYS[1], '(' .. place, '+', 'COUNT', most)
  -- where the place was trimmed, this is what is left of what came behind it
  return { there and #found < most and 1 or 0, found }
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[2])
local order = {}
for at = #last, 1, -1 do
  order[#order + 1] = last[at]
end
return { 0, order }

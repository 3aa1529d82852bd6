-- What was told in a room behind a place, or behind what is known by a key.
-- KEYS: stream, what is known by the key. ARGV: place ('' where there is a key), most entries.
local place = ARGV[1]
if KEYS[2] then
  place = redis.call('GET', KEYS[2])
end
local there = false
if place and place ~= '' then
  there = #redis.call('XRANGE', KEYS[1], place, place) > 0
  if there then
    return { 1, redis.call('XRANGE', KEYS[1], '(' .. place, '+') }
  end
  -- trimmed: what is left of what came behind it
  return { 0, redis.call('XRANGE', KEYS[1], '(' .. place, '+') }
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[2])
local order = {}
for at = #last, 1, -1 do
  order[#order + 1] = last[at]
end
return { 0, order }

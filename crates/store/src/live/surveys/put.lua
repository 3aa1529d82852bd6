-- Keeps a code of a mailbox; of those that count, the last three do.
-- KEYS: the codes of a mailbox (field: print of a code; value: "TRIES CREATED EXPIRES", in ms).
-- ARGV: print, now, until when it counts (ms).
local now, codes = tonumber(ARGV[2]), {}
local known = redis.call('HGETALL', KEYS[1])
for at = 1, #known, 2 do
  local created, expires = string.match(known[at + 1], '^%d+ (%d+) (%d+)$')
  if known[at] ~= ARGV[1] and tonumber(expires) > now then
    codes[#codes + 1] = { known[at], tonumber(created), known[at + 1] }
  end
end
table.sort(codes, function(a, b)
  if a[2] ~= b[2] then return a[2] > b[2] end
  return a[1] < b[1]
end)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], ARGV[1], '0 ' .. ARGV[2] .. ' ' .. ARGV[3])
local last = tonumber(ARGV[3])
for at = 1, math.min(2, #codes) do
  redis.call('HSET', KEYS[1], codes[at][1], codes[at][3])
  last = math.max(last, tonumber(string.match(codes[at][3], '(%d+)$')))
end
-- some longer than they count, for clocks that differ
return redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(last - now, 1) + 60000))

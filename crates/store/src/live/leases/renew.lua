-- Holds places longer, also those that have ended or were forgotten: who runs is not sent away.
-- KEYS: for each place the sorted set of its room. ARGV: how long it holds in ms, then the places.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local lease = tonumber(ARGV[1])

for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], now + lease, ARGV[1 + i])
  redis.call('PEXPIRE', KEYS[i], lease)
end
return #KEYS

-- Replaces what was reserved by what was used.
-- KEYS: one per window. ARGV: what was used, then for each window its limit, its length in ms, the bucket of the
-- reservation and its amount.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local stored = redis.call('MGET', unpack(KEYS))
local used = tonumber(ARGV[1])

for i = 1, #KEYS do
  local limit, window = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
  local w = window_at(window_read(stored[i]), limit, window, now)
  w = window_settle(w, tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 1]), used)
  redis.call('SET', KEYS[i], window_text(w), 'PX', 2 * window)
end
return now

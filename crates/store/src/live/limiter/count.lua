-- Counts what was used, whether or not there was any left; where nothing was, it only looks.
-- KEYS: one per window. ARGV: for each window its limit, its length in ms and how much was used.
-- Answers for each window what remains of it, until when all of it is there again, and until when one is.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local stored = redis.call('MGET', unpack(KEYS))
local answer = {}

for i = 1, #KEYS do
  local limit, window, amount = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local w = window_at(window_read(stored[i]), limit, window, now)
  if amount > 0 then
    w = window_plus(w, amount)
    redis.call('SET', KEYS[i], window_text(w), 'PX', 2 * window)
  end
  window_answer(answer, 3 * (i - 1), w, limit, window, now)
end
return answer

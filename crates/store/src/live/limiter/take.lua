-- Takes from every window of one decision, or from none.
-- KEYS: one per window. ARGV: for each window its limit, its length in ms and how much is asked of it.
-- Answers: now, the number of the window that refuses (0: none), its wait, what remains of it; then, if none refused,
-- what remains of each window, until when all of it is there again, and until when one is.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local stored = redis.call('MGET', unpack(KEYS))
local windows, answer = {}, { now, 0, 0, 0 }

for i = 1, #KEYS do
  local limit, window, amount = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local w = window_at(window_read(stored[i]), limit, window, now)
  local remaining = window_remaining(w, limit, window, now)
  if amount > remaining then
    -- whoever waits longest says when to come back
    local wait = window_wait(w, limit, window, amount, now)
    if answer[2] == 0 or (answer[3] >= 0 and (wait < 0 or wait > answer[3])) then
      answer[2], answer[3], answer[4] = i, wait, remaining
    end
  end
  windows[i] = window_plus(w, amount)
  window_answer(answer, 4 + 3 * (i - 1), windows[i], limit, window, now)
end

if answer[2] == 0 then
  for i = 1, #KEYS do
    redis.call('SET', KEYS[i], window_text(windows[i]), 'PX', 2 * tonumber(ARGV[3 * i - 1]))
  end
end
return answer

-- Gives a job back that could not be done: somebody tries again after a while, or it was the last try.
-- ARGV: job, try, consumer, reason, takeover_ms, backoff_ms, tries, kept_bytes, letters, letters_ms.
-- Answers 0, 1 when the worker does not hold it any more, 2 when it was the last try.
local job = ARGV[1]
local state = read_state(job)
if not state or state.gen ~= tonumber(ARGV[2]) or state.reason then return 1 end
if state.gen >= tonumber(ARGV[7]) then
  local found = redis.call('XRANGE', queue, state.entry, state.entry)
  local fields = fields_of(found[1] and found[1][2] or {})
  fields.listener = state.listener
  local limits = { kept_bytes = tonumber(ARGV[8]), letters = ARGV[9], letters_ms = tonumber(ARGV[10]) }
  if found[1] then bury(state.entry, job, fields, state, ARGV[4], limits) else forget(state.entry, job) end
  return 2
end
redis.call('HSET', state_of(job), 'reason', ARGV[4])
redis.call('XCLAIM', queue, group, ARGV[3], 0, state.entry, 'IDLE', math.max(0, ARGV[5] - ARGV[6]), 'JUSTID')
return 0

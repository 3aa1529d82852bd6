-- Answers of the worker that holds a job, and how far it is with it. The last answer ends the job in the same step, so
-- that nobody else ever answers it again.
-- ARGV: job, try, inbox bound, job_ms, inbox_ms, 1 when this is the end, progress, then kind and data of each.
-- Answers 0, 1 when the worker does not hold the job any more, 2 when nobody listens, 3 when there is no room yet.
local job = ARGV[1]
local state = read_state(job)
if not state or state.gen ~= tonumber(ARGV[2]) or state.reason then return 1 end
if state.cancelled or not listens(state.listener) then
  forget(state.entry, job)
  return 2
end
local inbox, count, last = inbox_of(state.listener), (#ARGV - 7) / 2, ARGV[6] == '1'
if not last and redis.call('XLEN', inbox) + count > tonumber(ARGV[3]) then return 3 end
local seq = state.seq
for at = 8, #ARGV, 2 do
  seq = seq + 1
  redis.call('XADD', inbox, '*', 'j', job, 's', seq, 'k', ARGV[at], 'd', ARGV[at + 1])
end
redis.call('PEXPIRE', inbox, ARGV[5])
if last then
  forget(state.entry, job)
else
  redis.call('HSET', state_of(job), 'seq', seq, 'progress', ARGV[7])
  redis.call('PEXPIRE', state_of(job), ARGV[4])
end
return 0

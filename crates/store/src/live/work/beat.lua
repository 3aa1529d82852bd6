-- A sign of life of the worker that holds a job.
-- ARGV: job, try, consumer, job_ms. Answers as `answer` does.
local job = ARGV[1]
local state = read_state(job)
if not state or state.gen ~= tonumber(ARGV[2]) or state.reason then return 1 end
if state.cancelled or not listens(state.listener) then
  forget(state.entry, job)
  return 2
end
redis.call('XCLAIM', queue, group, ARGV[3], 0, state.entry, 'JUSTID')
redis.call('PEXPIRE', state_of(job), ARGV[4])
redis.call('PEXPIRE', told_of(job), ARGV[4])
return 0

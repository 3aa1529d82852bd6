-- Nobody wants the answers of a job any more. One that nobody has begun never begins; a worker that has begun reads it
-- where it reads what it is told.
-- ARGV: job, how long a worker has to notice (ms).
-- Answers 0 when there is no such job, 1 when it had not begun, 2 when it had.
local job = ARGV[1]
local state = read_state(job)
if not state then return 0 end
if state.gen == 0 then
  forget(state.entry, job)
  return 1
end
redis.call('HSET', state_of(job), 'cancelled', 1)
redis.call('XADD', told_of(job), '*', 'k', 'cancel', 'd', '')
redis.call('PEXPIRE', state_of(job), ARGV[2])
redis.call('PEXPIRE', told_of(job), ARGV[2])
return 2

-- Queues the job of a dead letter again, for a listener of its own.
-- ARGV: the letter, listener, job_ms.
-- Answers the job, '' when there is no such letter, '-' when what it was told is not there any more.
local found = redis.call('XRANGE', dead, ARGV[1], ARGV[1])
if not found[1] then return '' end
local fields = fields_of(found[1][2])
local job = fields.job
if redis.call('EXISTS', state_of(job)) == 1 then return '-' end
if fields.kept ~= '1' or tonumber(fields.told) ~= redis.call('XLEN', told_of(job)) then return '-' end
local entry = redis.call('XADD', queue, '*', 'job', job, 'tenant', fields.tenant, 'session', fields.session,
  'correlation', fields.correlation, 'request', fields.request)
redis.call('HSET', state_of(job), 'entry', entry, 'gen', 0, 'seq', 0, 'told', fields.told, 'bytes', 0, 'listener',
  ARGV[2])
redis.call('PEXPIRE', state_of(job), ARGV[3])
return job

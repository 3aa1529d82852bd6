-- Queues a job of a listener that listens: one that nobody listens for would be forgotten without a word.
-- ARGV: job, listener, tenant, session, correlation, request, how many jobs there may be, how long it is kept (ms).
-- Answers 0, 1 when there are too many, 2 when nobody listens.
if not listens(ARGV[2]) then return 2 end
if redis.call('XLEN', queue) >= tonumber(ARGV[7]) then return 1 end
local entry = redis.call('XADD', queue, '*', 'job', ARGV[1], 'tenant', ARGV[3], 'session', ARGV[4], 'correlation',
  ARGV[5], 'request', ARGV[6])
redis.call('HSET', state_of(ARGV[1]), 'entry', entry, 'gen', 0, 'seq', 0, 'told', 0, 'bytes', 0, 'listener', ARGV[2])
redis.call('PEXPIRE', state_of(ARGV[1]), ARGV[8])
return 0

-- Tells a job more, in order. Nothing of it is ever cut off: another worker may have to hear it from the beginning.
-- ARGV: job, how many messages it may have, how many bytes, how long it is kept (ms), then kind and data of each.
-- Answers 0, 1 when that is too much, 2 when there is no such job any more.
local job = ARGV[1]
local state = read_state(job)
if not state then return 2 end
local bytes = 0
for at = 6, #ARGV, 2 do bytes = bytes + #ARGV[at] end
if state.told + (#ARGV - 4) / 2 > tonumber(ARGV[2]) or state.bytes + bytes > tonumber(ARGV[3]) then return 1 end
local told = state.told
for at = 5, #ARGV, 2 do
  told = told + 1
  redis.call('XADD', told_of(job), '*', 'n', told, 'k', ARGV[at], 'd', ARGV[at + 1])
end
redis.call('HSET', state_of(job), 'told', told, 'bytes', state.bytes + bytes)
redis.call('PEXPIRE', state_of(job), ARGV[4])
redis.call('PEXPIRE', told_of(job), ARGV[4])
return 0

-- Takes over a job that its worker has given back, or has not spoken of for too long.
-- XPENDING and XCLAIM do in one step here what XAUTOCLAIM does, and say whose it was and how it was left.
-- ARGV: consumer, tries, job_ms, kept_bytes, letters, letters_ms, for how long (ms).
-- Answers as `begin` does, with the former consumer behind it; 0 when there is none, 1 when there may be another.
redis.pcall('XGROUP', 'CREATE', queue, group, '0', 'MKSTREAM')
local idle = redis.pcall('XPENDING', queue, group, 'IDLE', ARGV[7], '-', '+', 1)
if idle.err or #idle == 0 then return 0 end
local entry, former = idle[1][1], idle[1][2]
local claimed = redis.call('XCLAIM', queue, group, ARGV[1], ARGV[7], entry)
if former ~= ARGV[1] and #redis.call('XPENDING', queue, group, '-', '+', 1, former) == 0 then
  -- it comes back by itself if it is alive
  redis.call('XGROUP', 'DELCONSUMER', queue, group, former)
end
if #claimed == 0 or not claimed[1] or not claimed[1][2] then
  redis.call('XACK', queue, group, entry)
  return 1
end
local limits = { tries = tonumber(ARGV[2]), job_ms = ARGV[3], kept_bytes = tonumber(ARGV[4]), letters = ARGV[5],
  letters_ms = tonumber(ARGV[6]) }
local begun = begin(entry, claimed[1][2], ARGV[1], limits)
if begun == 0 then return 1 end
begun[#begun + 1] = former
return begun

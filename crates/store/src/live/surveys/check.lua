-- Tries a code, in one step with counting it.
-- KEYS: the codes of a mailbox. ARGV: print of the guess, now (ms), attempts that a code has.
-- Answers -1 when it was right (none counts any more), -2 when none counts, else how many attempts are left of the code
-- that has most.
local now, attempts = tonumber(ARGV[2]), tonumber(ARGV[3])
local known, counting, left = redis.call('HGETALL', KEYS[1]), 0, 0
for at = 1, #known, 2 do
  local tries, created, expires = string.match(known[at + 1], '^(%d+) (%d+) (%d+)$')
  if tonumber(expires) > now then
    if known[at] == ARGV[1] then
      redis.call('DEL', KEYS[1])
      return -1
    end
    counting = counting + 1
    local more = attempts - tonumber(tries) - 1
    if more > 0 then
      redis.call('HSET', KEYS[1], known[at], (tries + 1) .. ' ' .. created .. ' ' .. expires)
      left = math.max(left, more)
    else
      redis.call('HDEL', KEYS[1], known[at])
    end
  end
end
if counting == 0 then return -2 end
return left

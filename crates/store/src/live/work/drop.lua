-- Throws a dead letter away, with what it was told. ARGV: the letter. Answers how many there were.
local found = redis.call('XRANGE', dead, ARGV[1], ARGV[1])
if not found[1] then return 0 end
local job = fields_of(found[1][2]).job
if redis.call('EXISTS', state_of(job)) == 0 then
  -- another letter of the same job keeps what it was told
  local others = 0
  for _, letter in ipairs(redis.call('XRANGE', dead, '-', '+')) do
    if fields_of(letter[2]).job == job then others = others + 1 end
  end
  if others == 1 then redis.call('DEL', told_of(job)) end
end
return redis.call('XDEL', dead, ARGV[1])

-- How much there is to do. Answers: jobs waiting, jobs being done, age of the oldest waiting (ms), dead letters.
local total = redis.call('XLEN', queue)
local pending = redis.pcall('XPENDING', queue, group)
local running = pending.err and 0 or pending[1]
local oldest = 0
if total > running then
  local after = '-'
  local groups = redis.pcall('XINFO', 'GROUPS', queue)
  if not groups.err and groups[1] then
    local fields = fields_of(groups[1])
    after = '(' .. fields['last-delivered-id']
  end
  local first = redis.call('XRANGE', queue, after, '+', 'COUNT', 1)
  if first[1] then oldest = math.max(0, now_ms() - tonumber(string.match(first[1][1], '^%d+'))) end
end
return { math.max(0, total - running), running, oldest, redis.call('XLEN', dead) }

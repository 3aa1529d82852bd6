-- Notes who of a process is in a room, and forgets processes that have not been heard of.
-- KEYS: who is here. ARGV: process, kept in ms, then its users.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local changed = 0
local lists = {}
local own = table.concat(ARGV, '\n', 3)
local before = ''
for at = 1, #all, 2 do
  local untilms, users = string.match(all[at + 1], '^(%d+)\n(.*)$')
  if all[at] == ARGV[1] then
    before = users or ''
  elseif not untilms or tonumber(untilms) < now then
    redis.call('HDEL', KEYS[1], all[at])
    changed = 1
  else
    lists[#lists + 1] = users
  end
end
if before ~= own then
  changed = 1
end
if #ARGV > 2 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + ARGV[2]) .. '\n' .. own)
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  lists[#lists + 1] = own
else
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return { changed, lists }

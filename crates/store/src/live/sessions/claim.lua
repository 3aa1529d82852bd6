-- Another gateway takes a session over.
-- KEYS: record, items, their order, sign of life. ARGV: project, node, kept_ms, alive_ms, wrapped key that the taker can open.
-- Answers nothing when there is none in this project, the wrapped key alone when it is another, else the number of the hold, the wrapped key, head, state, whether
-- and what it parted with, then id, position and content of each item.
local record, items, order, alive = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local known = redis.call('HMGET', record, 'project', 'key', 'head', 'state', 'parted')
if known[1] ~= ARGV[1] then return {} end
-- written whole with another key since the taker looked: nothing is changed before it has opened that one
if (known[2] or '') ~= ARGV[5] then return { known[2] or '' } end
local number = redis.call('HINCRBY', record, 'number', 1)
redis.call('HSET', record, 'node', ARGV[2])
redis.call('HDEL', record, 'parted')
redis.call('PEXPIRE', record, ARGV[3])
redis.call('SET', alive, ARGV[2], 'PX', ARGV[4])
local answer = { tostring(number), known[2] or '', known[3] or '', known[4] or '', known[5] and '1' or '0', known[5] or '' }
local ordered = redis.call('ZRANGE', order, 0, -1, 'WITHSCORES')
for at = 1, #ordered, 2 do
  local content = redis.call('HGET', items, ordered[at])
  if content then
    answer[#answer + 1] = ordered[at]
    answer[#answer + 1] = string.format('%.0f', tonumber(ordered[at + 1]))
    answer[#answer + 1] = content
  end
end
return answer

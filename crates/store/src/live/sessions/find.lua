-- Who holds a session.
-- KEYS: record, sign of life. Answers project, node and one of alive, parted, silent; nothing when there is none.
local known = redis.call('HMGET', KEYS[1], 'project', 'node')
if not known[1] then return {} end
local holding = 'silent'
if redis.call('HEXISTS', KEYS[1], 'parted') == 1 then
  holding = 'parted'
elseif redis.call('EXISTS', KEYS[2]) == 1 then
  holding = 'alive'
end
return { known[1], known[2], holding }

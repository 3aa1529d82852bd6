-- Takes a dialogue over: whoever had it may not write any more.
-- KEYS: the dialogue. ARGV: how long it is kept from now on (ms).
-- Answers its new version, wrapped key and content, or nothing.
local known = redis.call('HMGET', KEYS[1], 'key', 'content')
if not known[2] then return false end
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return { version, known[1] or '', known[2] }

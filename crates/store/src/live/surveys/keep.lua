-- Keeps where a dialogue stands.
-- KEYS: the dialogue. ARGV: version, how long (ms), wrapped key, content.
-- Answers 1, or 0 when somebody with another version has it.
local known = redis.call('HGET', KEYS[1], 'version')
if known and known ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'key', ARGV[3], 'content', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1

-- A listener goes: what it asked for is not wanted any more.
-- ARGV: listener.
redis.call('DEL', base .. 'listener:' .. ARGV[1], inbox_of(ARGV[1]))
return 0

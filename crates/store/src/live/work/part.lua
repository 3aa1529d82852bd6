-- A worker goes. What it still holds stays with its name until somebody takes it over.
-- ARGV: consumer.
local held = redis.pcall('XPENDING', queue, group, '-', '+', 1, ARGV[1])
if not held.err and #held == 0 then redis.call('XGROUP', 'DELCONSUMER', queue, group, ARGV[1]) end
return 0

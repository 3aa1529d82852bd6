-- Forgets what is known, and every mark that was given out.
-- KEYS: what is known, its mark. ARGV: for how long nothing is kept because a change is under way, in ms; 0 when it is over.
redis.call('DEL', KEYS[1])
if ARGV[1] == '0' then
  redis.call('DEL', KEYS[2])
else
  redis.call('SET', KEYS[2], 'changing', 'PX', ARGV[1])
end
return 0

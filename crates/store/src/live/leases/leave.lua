-- Gives places back.
-- KEYS: for each place the sorted set of its room. ARGV: the places.
for i = 1, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[i])
end
return #KEYS

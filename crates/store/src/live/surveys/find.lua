-- The last code of a mailbox that counts: when it was made and until when it counts, in ms; nothing when there is none.
-- KEYS: the codes of a mailbox. ARGV: now (ms).
local now, found = tonumber(ARGV[1]), nil
for _, value in ipairs(redis.call('HVALS', KEYS[1])) do
  local created, expires = string.match(value, '^%d+ (%d+) (%d+)$')
  created, expires = tonumber(created), tonumber(expires)
  if expires > now and (not found or created > found[1]) then
    found = { created, expires }
  end
end
return found or {}

-- The newest dead letters, without what was asked. ARGV: how many.
local letters = {}
for _, found in ipairs(redis.call('XREVRANGE', dead, '+', '-', 'COUNT', ARGV[1])) do
  local f = fields_of(found[2])
  letters[#letters + 1] = { found[1], f.job, f.tenant, f.session, f.correlation, f.reason, f.tries, f.kept, f.told }
end
return letters

-- What every script about work begins with.
-- KEYS[1] is the queue of one kind of work. All other keys are named after it: they have its hash tag, so they are in
-- its slot, also where a script learns only from an entry whose keys it needs.
local queue = KEYS[1]
local base = string.sub(queue, 1, -6)
local dead = base .. 'dead'
local group = string.match(base, 'work:(%a+)}') .. '-workers'

local function state_of(job) return base .. 'job:' .. job end
local function told_of(job) return base .. 'told:' .. job end
local function inbox_of(listener) return base .. 'inbox:' .. listener end
local function listens(listener) return redis.call('EXISTS', base .. 'listener:' .. listener) == 1 end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function fields_of(list)
  local fields = {}
  for at = 1, #list, 2 do fields[list[at]] = list[at + 1] end
  return fields
end

-- Nobody works at it any more. Who reads what it is told learns that by `over`.
local function forget(entry, job, keep_ms)
  redis.pcall('XACK', queue, group, entry)
  redis.call('XDEL', queue, entry)
  redis.call('DEL', state_of(job))
  if keep_ms then
    redis.call('PEXPIRE', told_of(job), keep_ms)
  elseif redis.call('EXISTS', told_of(job)) == 1 then
    redis.call('XADD', told_of(job), '*', 'k', 'over', 'd', '')
    redis.call('PEXPIRE', told_of(job), 2000)
  end
end

-- Gives a job up: to the dead letters, and its listener is told.
local function bury(entry, job, fields, state, reason, limits)
  local small = state.bytes + #fields.request <= limits.kept_bytes
  local keep = small and state.told > 0
  redis.call('XADD', dead, 'MAXLEN', '~', limits.letters, '*', 'job', job, 'tenant', fields.tenant,
    'session', fields.session, 'correlation', fields.correlation, 'reason', reason, 'tries', state.gen,
    'told', state.told, 'kept', small and 1 or 0, 'request', small and fields.request or '')
  redis.call('XTRIM', dead, 'MINID', '~', string.format('%.0f', now_ms() - limits.letters_ms))
  redis.call('PEXPIRE', dead, limits.letters_ms)
  if listens(fields.listener) then
    redis.call('XADD', inbox_of(fields.listener), '*', 'j', job, 's', state.seq + 1, 'k', 'dead', 'd', reason)
  end
  forget(entry, job, keep and limits.letters_ms or nil)
end

local function read_state(job)
  local read = redis.call('HMGET', state_of(job), 'gen', 'seq', 'told', 'bytes', 'cancelled', 'listener', 'owner',
    'reason', 'progress', 'entry')
  if not read[1] then return nil end
  return { gen = tonumber(read[1]), seq = tonumber(read[2]), told = tonumber(read[3]), bytes = tonumber(read[4]),
    cancelled = read[5], listener = read[6], owner = read[7], reason = read[8], progress = read[9], entry = read[10] }
end

-- Another try at a job that this consumer has just been given. Answers what it needs, or 0 when there is nothing to do.
local function begin(entry, list, consumer, limits)
  local fields = fields_of(list)
  local job = fields.job
  local state = read_state(job)
  if not state or state.cancelled or not listens(state.listener) then
    forget(entry, job)
    return 0
  end
  fields.listener = state.listener
  if state.gen >= limits.tries then
    bury(entry, job, fields, state, state.reason or ('worker ' .. (state.owner or '?') .. ' stopped answering'), limits)
    return 0
  end
  redis.call('HINCRBY', state_of(job), 'gen', 1)
  redis.call('HSET', state_of(job), 'owner', consumer)
  redis.call('HDEL', state_of(job), 'reason')
  redis.call('PEXPIRE', state_of(job), limits.job_ms)
  local waited = now_ms() - tonumber(string.match(entry, '^%d+'))
  return { entry, job, state.gen + 1, state.seq, waited, state.progress or '', fields.tenant, fields.session,
    fields.correlation, fields.request }
end

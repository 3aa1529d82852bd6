-- The sliding window of engine/guard/window.rs, line by line. Every product stays below 2^53, so that these doubles
-- are the same integers as there. A window is kept as text: "BUCKET PREVIOUS CURRENT".

local LIMIT_MAX = 100000000

local function window_read(text)
  local bucket, previous, current = string.match(text or '0 0 0', '^(%d+) (%d+) (%d+)$')
  return { bucket = tonumber(bucket), previous = tonumber(previous), current = tonumber(current) }
end

local function window_text(w)
  return string.format('%.0f %.0f %.0f', w.bucket, w.previous, w.current)
end

-- the buckets as they are at `now`; a clock that stepped back gives nothing away and locks nobody out
local function window_at(w, limit, window, now)
  local bucket = math.floor(now / window)
  if bucket == w.bucket then
    return { bucket = bucket, previous = w.previous, current = w.current }
  elseif bucket < w.bucket then
    return { bucket = bucket, previous = 0, current = math.min(w.previous + w.current, limit) }
  elseif bucket == w.bucket + 1 then
    return { bucket = bucket, previous = w.current, current = 0 }
  end
  return { bucket = bucket, previous = 0, current = 0 }
end

local function window_plus(w, amount)
  return { bucket = w.bucket, previous = w.previous, current = math.min(w.current + amount, LIMIT_MAX) }
end

local function window_remaining(w, limit, window, now)
  local covered = window - now % window
  local used = w.current + math.ceil(w.previous * covered / window)
  return math.max(limit - used, 0)
end

local function window_reset(w, window, now)
  if w.previous == 0 and w.current == 0 then
    return 0
  end
  local to_edge = window - now % window
  return w.current == 0 and to_edge or to_edge + window
end

local function window_uncovered(window, count, room)
  if count <= room then
    return 0
  end
  return window - math.floor(room * window / count)
end

-- from `now` until `amount` may be taken; -1 when that is more than the limit
local function window_wait(w, limit, window, amount, now)
  local room = limit - amount
  if room < 0 then
    return -1
  end
  local free_at
  if room >= w.current then
    free_at = window_uncovered(window, w.previous, room - w.current)
  else
    free_at = window + window_uncovered(window, w.current, room)
  end
  return math.max(free_at - now % window, 0)
end

-- writes behind place `at` what remains, until when all of it is there again, and until when one is
local function window_answer(answer, at, w, limit, window, now)
  answer[at + 1] = window_remaining(w, limit, window, now)
  answer[at + 2] = window_reset(w, window, now)
  answer[at + 3] = window_wait(w, limit, window, 1, now)
end

-- gives back what was reserved and not used, counts what was used beyond it
local function window_settle(w, bucket, reserved, used)
  local refund = math.max(reserved - used, 0)
  if bucket >= w.bucket then
    w.current = math.max(w.current - refund, 0)
  elseif bucket + 1 == w.bucket then
    w.previous = math.max(w.previous - refund, 0)
  end
  return window_plus(w, math.max(used - reserved, 0))
end


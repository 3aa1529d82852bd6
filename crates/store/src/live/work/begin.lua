-- A worker was given an entry of the queue.
-- ARGV: consumer, tries, job_ms, kept_bytes, letters, letters_ms, the entry's id, then its fields.
local limits = { tries = tonumber(ARGV[2]), job_ms = ARGV[3], kept_bytes = tonumber(ARGV[4]), letters = ARGV[5],
  letters_ms = tonumber(ARGV[6]) }
local list = {}
for at = 8, #ARGV do list[#list + 1] = ARGV[at] end
return begin(ARGV[7], list, ARGV[1], limits)

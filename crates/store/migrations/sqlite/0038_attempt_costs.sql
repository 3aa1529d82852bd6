-- What each attempt at a call cost, in micro-dollars: what the call cost is the sum.
ALTER TABLE call_attempts ADD COLUMN actual_micros INTEGER;

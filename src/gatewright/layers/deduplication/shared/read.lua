-- Reads what came of a flight.
--
-- KEYS: who leads, what came. ARGV: the leading call, how many parts were read already.
-- Gives whether it is still led by that call (1 or 0), then the parts that are new.
local lead = redis.call('GET', KEYS[1])
local parts = redis.call('LRANGE', KEYS[2], ARGV[2], -1)
table.insert(parts, 1, (lead and string.sub(lead, 18) == ARGV[1]) and 1 or 0)
return parts

-- Reads what came of a flight.
--
-- KEYS: who leads, what came, that somebody follows. ARGV: the leading call, how many parts were read already, the
-- milliseconds for which a follower is believed to be there.
-- Gives whether it is still led by that call (1 or 0), then the parts that are new; -1 where those before are lost.
local lead = redis.call('GET', KEYS[1])
local led = lead and string.sub(lead, 18) == ARGV[1]
if led then redis.call('SET', KEYS[3], '1', 'PX', ARGV[3]) end
if redis.call('LLEN', KEYS[2]) < tonumber(ARGV[2]) then return {-1} end
local parts = redis.call('LRANGE', KEYS[2], ARGV[2], -1)
table.insert(parts, 1, led and 1 or 0)
return parts

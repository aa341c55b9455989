-- Has a follower, and what it has yet to read, kept while its own reader does not read on.
--
-- KEYS: who leads, what came, that somebody follows. ARGV: the leading call, the milliseconds for which a follower is
-- believed to be there, those for which what came is there at least.
local lead = redis.call('GET', KEYS[1])
if lead and string.sub(lead, 18) == ARGV[1] then redis.call('SET', KEYS[3], '1', 'PX', ARGV[2]) end
local left = redis.call('PTTL', KEYS[2])
if left >= 0 and left < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[2], ARGV[3]) end
return 1

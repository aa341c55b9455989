-- Adds to what came of a flight, keeps its lead, or ends it.
--
-- KEYS: who leads, that somebody follows, what came. ARGV: the leading call, the lease in milliseconds, "fly", "land" or
-- "fail", the milliseconds for which it is kept from now on, how many parts were told before, then what came. It may be
-- told again what it was told already, by a leader that heard no answer.
-- Gives whether somebody follows (1 or 0), -1 where another leads by now, or what came before was lost.
local lead = redis.call('GET', KEYS[1])
if not lead or string.sub(lead, 18) ~= ARGV[1] then return -1 end
local known = redis.call('LLEN', KEYS[3]) - tonumber(ARGV[5])
if known < 0 then
  redis.call('DEL', KEYS[1])
  return -1
end
for i = 6 + known, #ARGV do redis.call('RPUSH', KEYS[3], ARGV[i]) end
redis.call('PEXPIRE', KEYS[3], ARGV[4])
if ARGV[3] == 'fly' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif ARGV[3] == 'land' then
  local time = redis.call('TIME')
  redis.call('SET', KEYS[1], string.format('L%016.5f', time[1] + time[2] / 1000000) .. ARGV[1], 'PX', ARGV[4])
else
  redis.call('DEL', KEYS[1])
end
return redis.call('EXISTS', KEYS[2])

-- Takes the lead of a flight, or finds who has it.
--
-- KEYS: who leads, that somebody follows. ARGV: the call that asks, the lease in milliseconds, the window in seconds,
-- the milliseconds for which a follower is believed to be there.
-- Who leads is a letter, the seconds at which the flight landed (16 characters), and the leading call: `F` flies, `L`
-- landed. Gives the seconds since it landed (16 characters) and the leading call; it is the one that asks where nobody
-- led.
local lead = redis.call('GET', KEYS[1])
if lead then
  local age = 0
  if string.sub(lead, 1, 1) == 'L' then
    local time = redis.call('TIME')
    age = math.max(0, time[1] + time[2] / 1000000 - tonumber(string.sub(lead, 2, 17)))
  end
  if age <= tonumber(ARGV[3]) then
    redis.call('SET', KEYS[2], '1', 'PX', ARGV[4])
    return string.format('%016.5f', age) .. string.sub(lead, 18)
  end
end
redis.call('SET', KEYS[1], 'F' .. string.rep('0', 16) .. ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
return string.format('%016.5f', 0) .. ARGV[1]

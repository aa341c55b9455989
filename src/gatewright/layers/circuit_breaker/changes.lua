-- Gives what has changed: doubles (the time, the version of all), then the name and the entry of each breaker that
-- changed after the version in ARGV[1], as `publish.lua` describes it.
--
-- KEYS: the breakers, the version of all that is in there.
local time = redis.call('TIME')
local version = tonumber(redis.call('GET', KEYS[2]) or '0')
local found = {struct.pack('<dd', time[1] + time[2] / 1000000, version)}
if version ~= tonumber(ARGV[1]) then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if struct.unpack('<d', all[i + 1]) > tonumber(ARGV[1]) or version < tonumber(ARGV[1]) then
      found[#found + 1] = all[i]
      found[#found + 1] = all[i + 1]
    end
  end
end
return found

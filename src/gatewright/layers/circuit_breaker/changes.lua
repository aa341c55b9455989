-- Gives the breakers where they have changed: doubles (the time, the version of all), then the name and the entry of
-- each, as `publish.lua` describes it; where the version is that in ARGV[1], none.
--
-- KEYS: the breakers, the version of all that is in there.
local time = redis.call('TIME')
local version = tonumber(redis.call('GET', KEYS[2]) or '0')
local found = version ~= tonumber(ARGV[1]) and redis.call('HGETALL', KEYS[1]) or {}
table.insert(found, 1, struct.pack('<dd', time[1] + time[2] / 1000000, version))
return found

-- Says that calls are still under way, also of permits that Redis has forgotten in a restart or a flush.
--
-- KEYS: sets of permits. ARGV[1]: the lease in seconds. ARGV[2...]: the permits in each set, 16 bytes each.
local time = redis.call('TIME')
local until_time = string.format('%.6f', time[1] + time[2] / 1000000 + tonumber(ARGV[1]))
for i = 1, #KEYS do
  local names = ARGV[i + 1]
  for start = 1, #names, 16 do
    redis.call('ZADD', KEYS[i], until_time, string.sub(names, start, start + 15))
  end
  redis.call('PEXPIRE', KEYS[i], string.format('%.0f', tonumber(ARGV[1]) * 1000 + 1000))
end
return ''

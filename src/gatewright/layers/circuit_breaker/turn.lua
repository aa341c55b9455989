-- Takes or keeps the turn to probe a breaker, or gives it back.
--
-- KEYS[1]: whose turn it is. ARGV: the process, the milliseconds for which it takes it (0: it gives it back).
-- Gives 1 where the process has it.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1

-- Counts the probes of a breaker that are under way in all processes, and those that went well since it opened.
--
-- KEYS: the breakers, the probes of this one.
-- ARGV: the breaker; the version of its entry that this process knows; the process; how many probes it has under way;
--   "ask" (whether the last of them may go), "succeeded" (one more of them) or "tell"; how many there may be in all; the
--   milliseconds for which this is believed.
-- Gives doubles: the time, the entry as `publish.lua` describes it (zeros: there is none), the seconds after which to ask
-- again (0: it may go), how many went well.
-- By then a process has heard what came of the probes of another.
local again_after = 0.5
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local entry = redis.call('HGET', KEYS[1], ARGV[1])
local version, open_until, openings, said = 0, 0, 0, 0
if entry then version, open_until, openings, said = struct.unpack('<dddd', entry) end
local unheard_of = version > tonumber(ARGV[2])
local mine = tonumber(ARGV[4])
local wait = 0

if ARGV[5] == 'ask' then
  local under_way, first_lapses = mine, math.huge
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do
    if all[i] ~= 'succeeded' and all[i] ~= ARGV[3] then
      local count, believed_until = struct.unpack('<dd', all[i + 1])
      if believed_until > now then
        under_way, first_lapses = under_way + count, math.min(first_lapses, believed_until)
      else
        redis.call('HDEL', KEYS[2], all[i])
      end
    end
  end
  if open_until > now then
    wait = math.min(again_after, open_until - now)
  elseif unheard_of and open_until == 0 then
    wait = again_after
  elseif under_way > tonumber(ARGV[6]) then
    wait = math.min(again_after, first_lapses - now)
  end
elseif unheard_of then
  -- The probe was one of before it opened again, or closed.
  wait = again_after
end

if wait == 0 then
  if mine > 0 then
    redis.call('HSET', KEYS[2], ARGV[3], struct.pack('<dd', mine, now + ARGV[7] / 1000))
  else
    redis.call('HDEL', KEYS[2], ARGV[3])
  end
  if ARGV[5] == 'succeeded' then redis.call('HINCRBY', KEYS[2], 'succeeded', 1) end
  redis.call('PEXPIRE', KEYS[2], '3600000')
end
local succeeded = tonumber(redis.call('HGET', KEYS[2], 'succeeded') or '0')
return struct.pack('<ddddddd', now, version, open_until, openings, said, wait, succeeded)

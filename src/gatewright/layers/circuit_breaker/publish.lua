-- Tells the other processes that a breaker opened or closed.
--
-- KEYS: the breakers, the version of all that is in there, the probes of this one, which count no more.
-- ARGV: the breaker; "open", "close" or "force" (close whatever others say); the seconds for which it is open; how often
--   it opened lately; the version of the entry that this process knows.
-- An entry is four doubles: its version, open until (0: closed), openings, when it was written.
-- Gives doubles: the time, the version of all, and the entry as it is now. An opening never shortens a longer one; a
-- closing does not undo an opening of which the process had not heard.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local before = redis.call('HGET', KEYS[1], ARGV[1])
local version, open_until, openings = 0, 0, 0
if before then version, open_until, openings = struct.unpack('<ddd', before) end
local unheard_of = version > tonumber(ARGV[5]) and open_until > 0
local counts = ARGV[2] ~= 'close' or not unheard_of

if ARGV[2] == 'open' then
  -- One that had closed counts anew where this process does.
  openings = math.max(open_until > 0 and openings or 0, tonumber(ARGV[4]))
  open_until = math.max(open_until, now + tonumber(ARGV[3]))
elseif counts then
  open_until, openings = 0, tonumber(ARGV[4])
end
if counts then redis.call('DEL', KEYS[3]) end

local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local _, other_until, _, written = struct.unpack('<dddd', all[i + 1])
  if other_until == 0 and written < now - 60 then redis.call('HDEL', KEYS[1], all[i]) end
end
-- A version is never used again, also after a flush.
redis.call('SET', KEYS[2], string.format('%.0f', now * 1000), 'NX')
version = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], ARGV[1], struct.pack('<dddd', version, open_until, openings, now))
-- One that somebody opened by hand is remembered for a month.
local keep = open_until == math.huge and 2592000 or math.max(0, open_until - now) + 3600
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(keep * 1000, redis.call('PTTL', KEYS[1]))))
redis.call('PEXPIRE', KEYS[2], '2678400000')
return struct.pack('<ddddd', now, version, version, open_until, openings)

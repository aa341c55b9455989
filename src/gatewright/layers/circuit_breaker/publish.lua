-- Tells the other processes that a breaker opened or closed.
--
-- KEYS: the breakers, the version of all that is in there, the probes of this one, which count no more.
-- ARGV: the breaker; "open", "close" or "force" (close, of whatever this process has heard); the seconds for which it is
--   open; how often it opened lately; the seconds since this happened; the version of the entry that this process knows,
--   and the seconds since it heard of that.
-- An entry is four doubles: its version, open until (0: closed), openings, when that was said.
-- Gives doubles: the time, and the entry as it is now. Of two words the later counts, and an opening never shortens a
-- longer one; a closing by a probe does not undo an opening of which the process had not heard.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local ago = tonumber(ARGV[5])
local before = redis.call('HGET', KEYS[1], ARGV[1])
local version, open_until, openings, said = 0, 0, 0, 0
if before then version, open_until, openings, said = struct.unpack('<dddd', before) end
-- What happens now is the last word, also where the clock of another server was ahead of this one.
local late = ago > 0.1 and now - ago < said
-- One that was heard of, and is told again after Redis had lost it, has another version.
local unheard_of = open_until > 0 and version > tonumber(ARGV[6]) and said > now - tonumber(ARGV[7]) + 0.2
if late or (ARGV[2] == 'close' and unheard_of) then
  return struct.pack('<ddddd', now, version, open_until, openings, said)
end

if ARGV[2] == 'open' then
  -- One that had closed counts anew where this process does.
  openings = math.max(open_until > 0 and openings or 0, tonumber(ARGV[4]))
  open_until = math.max(open_until, now + tonumber(ARGV[3]))
else
  open_until, openings = 0, tonumber(ARGV[4])
end
said = now - ago
redis.call('DEL', KEYS[3])

local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local _, other_until, _, other_said = struct.unpack('<dddd', all[i + 1])
  if other_until == 0 and other_said < now - 600 then redis.call('HDEL', KEYS[1], all[i]) end
end
-- A version is never used again, also after a flush.
redis.call('SET', KEYS[2], string.format('%.0f', now * 1000), 'NX')
version = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], ARGV[1], struct.pack('<dddd', version, open_until, openings, said))
-- One that somebody opened by hand is remembered for a month.
local keep = open_until == math.huge and 2592000 or math.max(0, open_until - now) + 3600
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(keep * 1000, redis.call('PTTL', KEYS[1]))))
redis.call('PEXPIRE', KEYS[2], '2678400000')
return struct.pack('<ddddd', now, version, open_until, openings, said)

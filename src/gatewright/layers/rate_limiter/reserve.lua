-- Charges one call to all of its limits, or to none.
--
-- KEYS: a bucket for each limit, then the set of permits of each limit that has a maximum of calls at once.
-- ARGV[1]: doubles: tokens, lease, whether the call waits (1) or comes just now; 8 bytes that name the process; then
--   doubles for each limit: requests a second and their burst, tokens a second and their
--   burst (a rate below zero: no such limit), the maximum at once (0: none), requests and tokens to put back of calls
--   that ended (below zero: owed), what the process believes is left: requests, tokens, seconds of pause, and how many
--   of its calls wait for this limit. What Redis has forgotten, in a restart or a flush, is taken from there, where
--   those calls are settled already.
-- ARGV[2]: the permit's name. ARGV[3...]: the permits to take out of each set, 16 bytes each.
-- Gives doubles: the wait (0: charged) and the number of the limit that asks for it; then for each limit: requests and
--   tokens left, the seconds of its pause, the permits under way, and how many other processes have how many calls that
--   wait for it.
--
-- A bucket also has the processes whose calls wait: 8 bytes of name, the tokens that the first of these needs, until
-- when it is believed to wait, and how many wait. Those whose call found too few tokens, or nobody gone, stand in line
-- in the order in which they came; the others need -1. The first in line is left as much as it needs, a place at once
-- included, or whoever asks for less, or just when a call of its own has ended, would always be before it. It leaves
-- the line when its call goes, when another limit keeps that call waiting, or when nothing was heard of it for TURN
-- seconds.
local TURN, FIRST_AGAIN = 1, 0.02
local IN_LINE = 32
local tokens, lease, waits, me, at = struct.unpack('<dddc8', ARGV[1])
local count = (#ARGV[1] - 32) / 88
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local states = redis.call('MGET', unpack(KEYS, 1, count))
local limits = {}
local longest, by, permits_key = 0, 0, count

local function missing_time(amount, level, rate, burst, pause)
  if rate < 0 then return 0 end
  local missing = math.min(amount, burst) - level
  local wait = missing > 0.000001 and missing / rate or 0
  return wait + pause
end

for i = 1, count do
  local one = {}
  local requests_back, tokens_back, known_requests, known_tokens, known_pause
  one.request_rate, one.request_burst, one.token_rate, one.token_burst, one.maximum, requests_back, tokens_back,
    known_requests, known_tokens, known_pause, one.waiting, at = struct.unpack('<ddddddddddd', ARGV[1], at)
  if states[i] then
    one.requests, one.tokens, one.at, one.paused = struct.unpack('<dddd', states[i])
  else
    one.requests, one.tokens, one.at, one.paused = known_requests, known_tokens, now + known_pause, now + known_pause
    requests_back, tokens_back = 0, 0
  end
  one.line, one.others, one.theirs = {}, 0, 0
  local first
  for from = 33, states[i] and #states[i] or 0, IN_LINE do
    local process, needs, waits_until, calls = struct.unpack('<c8ddd', states[i], from)
    if waits_until > now then
      one.line[#one.line + 1] = {process, needs, waits_until, calls}
      if needs >= 0 and not first then first = one.line[#one.line] end
      if process ~= me then
        one.others, one.theirs = one.others + 1, one.theirs + calls
      end
    else
      one.changed = true
    end
  end
  local theirs = first and first[1] ~= me
  local flows = math.max(now, one.paused)
  local elapsed = math.max(0, flows - one.at)
  -- What only other processes limit is refilled by them: theirs is the time since, and all is written as of then.
  one.since = 0
  if (one.request_rate < 0 and one.requests < math.huge) or (one.token_rate < 0 and one.tokens < math.huge) then
    one.since = elapsed
  end
  one.at = math.max(one.at, flows - one.since)
  if one.request_rate >= 0 then
    one.requests = math.min(one.requests + elapsed * one.request_rate, one.request_burst)
    one.requests = math.min(one.requests + requests_back, one.request_burst)
  end
  if one.token_rate >= 0 then
    one.tokens = math.min(one.tokens + elapsed * one.token_rate, one.token_burst)
    one.tokens = math.min(one.tokens + tokens_back, one.token_burst)
  end
  one.changed = one.changed or requests_back ~= 0 or tokens_back ~= 0
  local pause = math.max(0, one.paused - now)
  local with_theirs = tokens + (theirs and first[2] or 0)
  local token_wait = missing_time(with_theirs, one.tokens, one.token_rate, one.token_burst, pause)
  local wait = math.max(
    pause, missing_time(1, one.requests, one.request_rate, one.request_burst, pause), token_wait
  )
  one.in_turn = token_wait > 0
  one.under_way = 0
  if one.maximum > 0 then
    permits_key = permits_key + 1
    one.permits = KEYS[permits_key]
    local ended = ARGV[2 + permits_key - count]
    for start = 1, #ended, 16 do
      redis.call('ZREM', one.permits, string.sub(ended, start, start + 15))
    end
    redis.call('ZREMRANGEBYSCORE', one.permits, '-inf', string.format('%.6f', now))
    one.under_way = redis.call('ZCARD', one.permits)
    if one.under_way + (theirs and 1 or 0) >= one.maximum then
      wait, one.in_turn = math.huge, true
      -- Nobody is told when a place is free: the first in line asks more often than the others.
      if waits == 1 and first and not theirs then wait = FIRST_AGAIN end
    end
  end
  if wait > longest then longest, by = wait, i end
  limits[i] = one
end

local function time_to_fill(level, rate, burst)
  return rate > 0 and (burst - level) / rate or 0
end

-- What this process has there is renewed where it would lapse soon; whoever comes to stand in line does so at its end.
local function say(one, needs, calls)
  for place, other in ipairs(one.line) do
    if other[1] == me then
      if calls > 0 and other[2] == needs and other[4] == calls and other[3] >= now + TURN / 2 then return end
      one.changed = true
      if calls > 0 and (needs < 0 or other[2] >= 0) then
        other[2], other[3], other[4] = needs, now + TURN, calls
        return
      end
      table.remove(one.line, place)
      break
    end
  end
  if calls > 0 then
    one.line[#one.line + 1] = {me, needs, now + TURN, calls}
    one.changed = true
  end
end

for i = 1, count do
  local one = limits[i]
  if longest == 0 then
    say(one, -1, one.waiting - waits)
  elseif waits == 1 then
    say(one, i == by and one.in_turn and tokens or -1, math.max(1, one.waiting))
  end
  if longest == 0 then
    one.requests = one.requests - (one.request_rate >= 0 and 1 or 0)
    one.tokens = one.tokens - (one.token_rate >= 0 and tokens or 0)
  end
  if one.changed or (longest == 0 and (one.request_rate >= 0 or one.token_rate >= 0)) then
    local idle = math.max(
      time_to_fill(one.requests, one.request_rate, one.request_burst),
      time_to_fill(one.tokens, one.token_rate, one.token_burst)
    )
    -- Full again, it is as good as forgotten; a debt is remembered for a month at most.
    if one.since > 0 then idle = math.max(idle, redis.call('PTTL', KEYS[i]) / 1000 - 1) end
    local state = struct.pack('<dddd', one.requests - one.since * math.max(0, one.request_rate),
      one.tokens - one.since * math.max(0, one.token_rate), one.at, one.paused)
    for place, other in ipairs(one.line) do
      state = state .. struct.pack('<c8ddd', other[1], other[2], other[3], other[4])
    end
    redis.call('SET', KEYS[i], state,
      'PX', string.format('%.0f', math.min(idle * 1000 + 1000, 2592000000)))
  end
  if longest == 0 and one.permits then
    one.under_way = one.under_way + 1
    redis.call('ZADD', one.permits, string.format('%.6f', now + lease), ARGV[2])
    redis.call('PEXPIRE', one.permits, string.format('%.0f', lease * 1000 + 1000))
  end
end

local left = {struct.pack('<dd', longest, by)}
for i = 1, count do
  local one = limits[i]
  left[i + 1] = struct.pack('<dddddd',
    one.requests, one.tokens, math.max(0, one.paused - now), one.under_way, one.others, one.theirs)
end
return table.concat(left)

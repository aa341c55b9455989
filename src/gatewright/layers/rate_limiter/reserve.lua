-- Charges one call to all of its limits, or to none.
--
-- KEYS: a bucket for each limit, then the set of permits of each limit that has a maximum of calls at once.
-- ARGV[1]: doubles: tokens, lease, whether the call waits (1) or comes just now; 8 bytes that name the process; then
--   doubles for each limit: requests a second and their burst, tokens a second and their
--   burst (a rate below zero: no such limit), the maximum at once (0: none), requests and tokens to put back of calls
--   that ended (below zero: owed), and what the process believes is left: requests, tokens, seconds of pause. What
--   Redis has forgotten, in a restart or a flush, is taken from there, where those calls are settled already.
-- ARGV[2]: the permit's name. ARGV[3...]: the permits to take out of each set, 16 bytes each.
-- Gives doubles: the wait (0: charged) and the number of the limit that asks for it; then for each limit: requests and
--   tokens left, the seconds of its pause, the permits under way.
--
-- A bucket also knows whose turn it is: the process whose waiting call found too few tokens first, and how many it
-- waits for. Others go only where they leave that much, or whoever asks for less would always be before it. A turn ends
-- when the call goes, or is not asked for during TURN seconds; who had the last one leaves the next to others.
local TURN, TO_OTHERS = 1, 0.5
local NOBODY = string.rep('\0', 8)
local tokens, lease, waits, me, at = struct.unpack('<dddc8', ARGV[1])
local count = (#ARGV[1] - 32) / 80
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
    known_requests, known_tokens, known_pause, at = struct.unpack('<dddddddddd', ARGV[1], at)
  if states[i] then
    one.requests, one.tokens, one.at, one.paused = struct.unpack('<dddd', states[i])
  else
    one.requests, one.tokens, one.at, one.paused = known_requests, known_tokens, now + known_pause, now + known_pause
    requests_back, tokens_back = 0, 0
  end
  if states[i] and #states[i] > 32 then
    one.turn_of, one.turn_tokens, one.turn_until, one.last_of, one.last_until = struct.unpack('<c8ddc8d', states[i], 33)
  else
    one.turn_of, one.turn_tokens, one.turn_until, one.last_of, one.last_until = NOBODY, 0, 0, NOBODY, 0
  end
  local theirs = one.turn_until > now and one.turn_of ~= me
  if now > one.at then
    local elapsed = now - one.at
    one.requests = one.requests + elapsed * math.max(0, one.request_rate)
    one.tokens = one.tokens + elapsed * math.max(0, one.token_rate)
    one.at = now
  end
  one.requests = math.min(math.min(one.requests, one.request_burst) + requests_back, one.request_burst)
  one.tokens = math.min(math.min(one.tokens, one.token_burst) + tokens_back, one.token_burst)
  one.changed = requests_back ~= 0 or tokens_back ~= 0
  local pause = math.max(0, one.paused - now)
  local with_theirs = tokens + (theirs and one.turn_tokens or 0)
  local token_wait = missing_time(with_theirs, one.tokens, one.token_rate, one.token_burst, pause)
  local wait = math.max(
    pause, missing_time(1, one.requests, one.request_rate, one.request_burst, pause), token_wait
  )
  one.turn_wanted = waits == 1 and not theirs and token_wait > 0 and not (one.last_of == me and one.last_until > now)
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
    if one.under_way >= one.maximum then wait = math.huge end
  end
  if wait > longest then longest, by = wait, i end
  limits[i] = one
end

local function time_to_fill(level, rate, burst)
  return rate > 0 and (burst - level) / rate or 0
end

for i = 1, count do
  local one = limits[i]
  if longest == 0 then
    one.requests = one.requests - (one.request_rate >= 0 and 1 or 0)
    one.tokens = one.tokens - (one.token_rate >= 0 and tokens or 0)
    if one.turn_of == me then
      one.turn_of, one.turn_until, one.last_of, one.last_until = NOBODY, 0, me, now + TO_OTHERS
    end
  elseif i == by and one.turn_wanted and longest < math.huge then
    one.turn_of, one.turn_tokens, one.turn_until, one.changed = me, tokens, now + TURN, true
  end
  if (longest == 0 or one.changed) and (one.request_rate >= 0 or one.token_rate >= 0) then
    local idle = math.max(
      time_to_fill(one.requests, one.request_rate, one.request_burst),
      time_to_fill(one.tokens, one.token_rate, one.token_burst)
    )
    -- Full again, it is as good as forgotten; a debt is remembered for a month at most.
    local state = struct.pack('<dddd', one.requests, one.tokens, one.at, one.paused)
    if one.turn_until > now or one.last_until > now then
      state = state
        .. struct.pack('<c8ddc8d', one.turn_of, one.turn_tokens, one.turn_until, one.last_of, one.last_until)
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
  left[i + 1] = struct.pack('<dddd', one.requests, one.tokens, math.max(0, one.paused - now), one.under_way)
end
return table.concat(left)

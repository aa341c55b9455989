-- Settles calls that ended, and takes a provider's word for what is left.
--
-- KEYS: a bucket for each limit, then the sets of permits that are given back.
-- ARGV[1]: doubles, for each limit: requests a second and their burst, tokens a second and their burst (a rate below
--   zero: no such limit), requests and tokens to put back (below zero: owed), how many of those owed were let
--   through without Redis and so are forgiven rather than that less than nothing is left, seconds of pause, the most
--   that is left of requests and tokens, and what the process believes is left: requests, tokens, seconds of pause.
-- ARGV[2...]: the permits to take out of each set, 16 bytes each.
-- Gives doubles, for each limit: requests and tokens left, the seconds of its pause, and the
--   requests and tokens that were forgiven.
local count = #ARGV[1] / 112
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local left = {}
local at = 1

local function time_to_fill(level, rate, burst)
  return rate > 0 and (burst - level) / rate or 0
end

local function forgiven(level, at_most)
  return math.max(0, math.min(at_most, -level))
end

local states = count > 0 and redis.call('MGET', unpack(KEYS, 1, count)) or {}
for i = 1, count do
  local request_rate, request_burst, token_rate, token_burst, requests_back, tokens_back, requests_alone,
    tokens_alone, pause, most_requests, most_tokens, known_requests, known_tokens, known_pause
  request_rate, request_burst, token_rate, token_burst, requests_back, tokens_back, requests_alone, tokens_alone,
    pause, most_requests, most_tokens, known_requests, known_tokens, known_pause, at =
    struct.unpack('<dddddddddddddd', ARGV[1], at)
  local requests, tokens, filled_at, paused
  local requests_forgiven, tokens_forgiven, since = 0, 0, 0
  if states[i] then
    requests, tokens, filled_at, paused = struct.unpack('<dddd', states[i])
    local elapsed = math.max(0, math.max(now, paused) - filled_at)
    -- What only other processes limit: as in `reserve.lua`.
    if (request_rate < 0 and requests < math.huge) or (token_rate < 0 and tokens < math.huge) then since = elapsed end
    if request_rate >= 0 then
      requests = math.min(requests + elapsed * request_rate, request_burst) + requests_back
    end
    if token_rate >= 0 then
      tokens = math.min(tokens + elapsed * token_rate, token_burst) + tokens_back
    end
    requests_forgiven = forgiven(requests, requests_alone)
    tokens_forgiven = forgiven(tokens, tokens_alone)
    requests = math.min(requests + requests_forgiven, request_burst, most_requests)
    tokens = math.min(tokens + tokens_forgiven, token_burst, most_tokens)
    paused = math.max(paused, now + pause)
  else
    -- The process has settled its own books already.
    requests, tokens, paused, filled_at = known_requests, known_tokens, now + known_pause, now
  end
  filled_at = math.max(filled_at, math.max(now, paused) - since)
  local idle = math.max(
    time_to_fill(requests, request_rate, request_burst), time_to_fill(tokens, token_rate, token_burst)
  ) + math.max(0, paused - now)
  if since > 0 then idle = math.max(idle, redis.call('PTTL', KEYS[i]) / 1000 - 1) end
  local line = states[i] and string.sub(states[i], 33) or '' -- as `reserve.lua` keeps it
  redis.call('SET', KEYS[i], struct.pack('<dddd', requests - since * math.max(0, request_rate),
    tokens - since * math.max(0, token_rate), filled_at, paused) .. line,
    'PX', string.format('%.0f', math.min(idle * 1000 + 1000, 2592000000)))
  left[i] = struct.pack('<ddddd',
    requests, tokens, math.max(0, paused - now), requests_forgiven, tokens_forgiven)
end

for i = count + 1, #KEYS do
  local names = ARGV[1 + i - count]
  for start = 1, #names, 16 do
    redis.call('ZREM', KEYS[i], string.sub(names, start, start + 15))
  end
end
return table.concat(left)

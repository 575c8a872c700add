-- Lets a request of an API key through at its rate, or says how long to wait, in microseconds: the
-- generic cell rate algorithm (ITU-T I.371), by this server's clock.
-- KEYS when the key would be as if it had never asked
-- ARGV microseconds a request, requests that may come at once
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local each = tonumber(ARGV[1])
local free = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
-- The clock may have been set back: nobody waits for longer than a full burst takes to come back.
free = math.min(free, now + each * tonumber(ARGV[2]))
local wait = free + each - each * tonumber(ARGV[2]) - now
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', free + each), 'PX', math.ceil((free + each - now) / 1000) + 1)
return 0

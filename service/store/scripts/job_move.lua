-- Changes the state of a job, if it may be changed from where it stands; returns where it stood.
-- Of a cancelled one, pictures that had an end before they waited again have it still.
-- KEYS job, pending, ready, clock, index of ended jobs, states of before
-- ARGV job's id, state to be, now, date, further fields as JSON, states that it may be changed from …
local was = redis.call('HGET', KEYS[1], 'state')
if not was then return {'gone'} end
local allowed = false
for i = 6, #ARGV do
  if ARGV[i] == was then allowed = true end
end
if not allowed then return {'refused', was} end
local to = ARGV[2]
redis.call('HSET', KEYS[1], 'state', to)
redis.call('HDEL', KEYS[1], 'ended', 'problem', 'held')
for name, value in pairs(cjson.decode(ARGV[5])) do redis.call('HSET', KEYS[1], name, value) end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
if to == 'cancelled' then
  local waiting = redis.call('ZCARD', KEYS[2])
  local counts = {cancelled = waiting}
  if redis.call('EXISTS', KEYS[6]) == 1 then
    for start = 0, waiting - 1, 1000 do
      local numbers = redis.call('ZRANGE', KEYS[2], start, start + 999)
      for _, before in ipairs(redis.call('HMGET', KEYS[6], unpack(numbers))) do
        if before then
          counts[before] = (counts[before] or 0) + 1
          counts.cancelled = counts.cancelled - 1
        end
      end
    end
  end
  redis.call('DEL', KEYS[2])
  redis.call('HINCRBY', KEYS[1], 'waiting', -waiting)
  for name, count in pairs(counts) do redis.call('HINCRBY', KEYS[1], name, count) end
end
local left = redis.call('ZCARD', KEYS[2]) + tonumber(redis.call('HGET', KEYS[1], 'working') or '0')
if to == 'running' and left == 0 then to = 'finished' end
if to == 'cancelled' or to == 'finished' then
  redis.call('HSET', KEYS[1], 'state', to, 'ended', ARGV[4])
  redis.call('ZADD', KEYS[5], ARGV[3], ARGV[1])
elseif to == 'running' then
  redis.call('ZADD', KEYS[3], redis.call('GET', KEYS[4]) or '0', ARGV[1])
end
return {'done', was}

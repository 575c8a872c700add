-- Changes the state of a job, once, and with it further fields, if it may be changed from where it
-- stands; returns that where it may not. Of a cancelled one, pictures that had an end before
-- they waited again have it still.
-- KEYS job, pending, ready, clock, index of ended jobs, states of before, held
-- ARGV job's id, state to be, now, date, token of this move, states that it may be changed from, each
--      between commas, and field, value, …
local KEPT = 160  -- bytes of the tokens of the latest moves: others may have followed
local was = redis.call('HGET', KEYS[1], 'state')
if not was then return {'gone'} end
local moves = redis.call('HGET', KEYS[1], 'moves') or ''
if string.find(moves, ARGV[5], 1, true) then return {'done'} end  -- the answer was lost
if not string.find(ARGV[6], ',' .. was .. ',', 1, true) then return {'refused', was} end
local to = ARGV[2]
moves = string.sub(ARGV[5] .. ' ' .. moves, 1, KEPT)
redis.call('HSET', KEYS[1], 'state', to, 'moves', moves)
redis.call('HDEL', KEYS[1], 'ended', 'problem', 'held')
for i = 7, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[7], ARGV[1])
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
return {'done'}

-- Takes the next pictures: of the job with the smallest virtual time, which each picture advances
-- by what one of the job's pictures takes on average, over the job's share (start-time fair
-- queueing, Goyal, Vin and Cheng 1996). Jobs that are paused are passed over. Those that are held
-- back stand in a set of their own until they are due, and come back at the clock, so that however
-- many they are, none is looked at twice. A picture whose place is behind all numbers has had its
-- first slice: it waits until no other one is still at its own, which the money must do for.
-- KEYS ready, out, clock, held
-- ARGV prefix of jobs' keys, most that may be out, most to take, now in milliseconds
local STEP, MOST_DUE = 20, 1000  -- what is left of those that are due comes with the next call
local now = tonumber(ARGV[4])
for _, id in ipairs(redis.call('ZRANGE', KEYS[4], '-inf', now, 'BYSCORE', 'LIMIT', 0, MOST_DUE)) do
  redis.call('ZREM', KEYS[4], id)
  redis.call('ZADD', KEYS[1], 'NX', redis.call('GET', KEYS[3]) or '0', id)
end

-- Gives a job's next picture, nil for none now, and whether there may be one without that the job
-- is entered once more.
local function next_of(id)
  local job = ARGV[1] .. id
  local told = redis.call('HMGET', job, 'state', 'held', 'share', 'images', 'ended_pictures', 'count')
  if told[1] ~= 'running' then return nil, false end
  if tonumber(told[2] or '0') > now then
    redis.call('ZADD', KEYS[4], told[2], id)
    return nil, false
  end
  local top = redis.call('ZRANGE', job .. ':pending', 0, 0, 'WITHSCORES')
  if #top == 0 then return nil, false end
  local first = tonumber(top[2]) < tonumber(told[6])
  if not first and redis.call('SCARD', job .. ':first') > 0 then return nil, true end
  redis.call('ZREM', job .. ':pending', top[1])
  if first then redis.call('SADD', job .. ':first', top[1]) end
  local ended = tonumber(told[5] or '0')
  local each = 100
  if ended > 0 then each = math.max(1, tonumber(told[4] or '0') / ended) end
  redis.call('SET', KEYS[3], redis.call('ZSCORE', KEYS[1], id))
  redis.call('ZINCRBY', KEYS[1], each / tonumber(told[3]), id)
  redis.call('ZADD', KEYS[2], ARGV[4], id .. '/' .. top[1])
  redis.call('HINCRBY', job, 'waiting', -1)
  redis.call('HINCRBY', job, 'working', 1)
  return top[1], true
end

local taken = {}
local room = math.min(tonumber(ARGV[3]), tonumber(ARGV[2]) - redis.call('ZCARD', KEYS[2]))
local passed = 0  -- jobs at the front that wait for their first slices: fewer than pictures are out
while #taken < 2 * room do
  local ids = redis.call('ZRANGE', KEYS[1], passed, passed + STEP - 1)
  if #ids == 0 then break end
  for _, id in ipairs(ids) do
    local number, stays = next_of(id)
    if number then  -- the job has another place now
      taken[#taken + 1] = id
      taken[#taken + 1] = number
      break
    elseif stays then
      passed = passed + 1
    else
      redis.call('ZREM', KEYS[1], id)
    end
  end
end
return taken

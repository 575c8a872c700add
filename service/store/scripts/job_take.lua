-- Takes the next pictures: of the job with the smallest virtual time, which each picture advances
-- by what one of the job's pictures takes on average, over the job's share (start-time fair
-- queueing, Goyal, Vin and Cheng 1996). Jobs that are paused or held back are passed over. A picture
-- whose place is behind all numbers has had its first slice: it waits until no other one is still
-- at its own, which the money must do for.
-- KEYS ready, out, clock
-- ARGV prefix of jobs' keys, most that may be out, most to take, now in milliseconds
local taken = {}
local room = math.min(tonumber(ARGV[3]), tonumber(ARGV[2]) - redis.call('ZCARD', KEYS[2]))
while #taken < room do
  local found = nil
  for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, 99)) do
    local job = ARGV[1] .. id
    local now = redis.call('HMGET', job, 'state', 'held', 'share', 'images', 'ended_pictures', 'count')
    if now[1] ~= 'running' then
      redis.call('ZREM', KEYS[1], id)
    elseif tonumber(now[2] or '0') <= tonumber(ARGV[4]) then
      local top = redis.call('ZRANGE', job .. ':pending', 0, 0, 'WITHSCORES')
      local first = #top > 0 and tonumber(top[2]) < tonumber(now[6])
      if #top == 0 then
        redis.call('ZREM', KEYS[1], id)
      elseif first or redis.call('SCARD', job .. ':first') == 0 then
        redis.call('ZREM', job .. ':pending', top[1])
        if first then redis.call('SADD', job .. ':first', top[1]) end
        local ended = tonumber(now[5] or '0')
        local each = 100
        if ended > 0 then each = math.max(1, tonumber(now[4] or '0') / ended) end
        redis.call('SET', KEYS[3], redis.call('ZSCORE', KEYS[1], id))
        redis.call('ZINCRBY', KEYS[1], each / tonumber(now[3]), id)
        redis.call('ZADD', KEYS[2], ARGV[4], id .. '/' .. top[1])
        redis.call('HINCRBY', job, 'waiting', -1)
        redis.call('HINCRBY', job, 'working', 1)
        found = {id, top[1]}
        break
      end
    end
  end
  if not found then break end
  taken[#taken + 1] = found[1]
  taken[#taken + 1] = found[2]
  room = room + 1
end
return taken

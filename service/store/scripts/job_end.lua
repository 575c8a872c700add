-- Notes what came of a picture, once; of its last one the job ends. Its certificate is counted for
-- the API key in the same step.
-- KEYS job, rows, out, ready, index of ended jobs, latest failures, first slices, states of
--      before, rows of before, held, counts of the day, index of counts
-- ARGV job's id, number, row, state of the picture, now, date, failures kept, and if there is
--      something to count: entry of the index, its score, field, number, …
if redis.call('ZREM', KEYS[3], ARGV[1] .. '/' .. ARGV[2]) == 0 then return 0 end
redis.call('SREM', KEYS[7], ARGV[2])
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('HDEL', KEYS[8], ARGV[2])
redis.call('HDEL', KEYS[9], ARGV[2])
redis.call('HINCRBY', KEYS[1], 'working', -1)
redis.call('HINCRBY', KEYS[1], ARGV[4], 1)
redis.call('HINCRBY', KEYS[1], 'ended_pictures', 1)
if ARGV[4] == 'failed' then
  redis.call('LREM', KEYS[6], 0, ARGV[2])
  redis.call('LPUSH', KEYS[6], ARGV[2])
  redis.call('LTRIM', KEYS[6], 0, ARGV[7] - 1)
end
local now = redis.call('HMGET', KEYS[1], 'state', 'waiting', 'working')
local left = tonumber(now[2]) + tonumber(now[3])
if left == 0 and (now[1] == 'running' or now[1] == 'paused') then
  redis.call('HSET', KEYS[1], 'state', 'finished', 'ended', ARGV[6])
  redis.call('HDEL', KEYS[1], 'problem', 'held')  -- why it did not go on: it did
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('ZREM', KEYS[10], ARGV[1])
  redis.call('ZADD', KEYS[5], ARGV[5], ARGV[1])
end
for i = 10, #ARGV, 2 do redis.call('HINCRBY', KEYS[11], ARGV[i], ARGV[i + 1]) end
if #ARGV > 7 then redis.call('ZADD', KEYS[12], ARGV[9], ARGV[8]) end
return 1

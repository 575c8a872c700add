-- Puts a picture that was not brought to its end back among those that wait.
-- One that had an end before it waited again has it still, should the job be cancelled: its row of
-- then is kept beside the one of now, until it ends anew.
-- KEYS job, rows, pending, out, ready, clock, first slices, states of before, rows of before
-- ARGV job's id, number, order among those that wait, row ('' for none)
if redis.call('ZREM', KEYS[4], ARGV[1] .. '/' .. ARGV[2]) == 0 then return 0 end
redis.call('SREM', KEYS[7], ARGV[2])
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 0 end
local before = redis.call('HGET', KEYS[8], ARGV[2])
if ARGV[4] ~= '' then
  local row = before and before ~= 'cancelled' and redis.call('HGET', KEYS[2], ARGV[2])
  if row then redis.call('HSETNX', KEYS[9], ARGV[2], row) end
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
end
redis.call('HINCRBY', KEYS[1], 'working', -1)
if state == 'cancelled' then
  redis.call('HINCRBY', KEYS[1], before or 'cancelled', 1)
  return 1
end
redis.call('HINCRBY', KEYS[1], 'waiting', 1)
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[2])
if state == 'running' then
  redis.call('ZADD', KEYS[5], 'NX', redis.call('GET', KEYS[6]) or '0', ARGV[1])
end
return 1

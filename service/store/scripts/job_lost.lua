-- Notes that there are no bytes of a picture of a job that is being taken in, once.
-- KEYS job, items, rows, pending, latest failures; ARGV number, item, row, failures kept
if redis.call('HGET', KEYS[1], 'state') ~= 'reading' then return 'gone' end
if redis.call('ZREM', KEYS[4], ARGV[1]) == 0 then return 'there' end  -- the answer was lost
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
redis.call('LPUSH', KEYS[5], ARGV[1])
redis.call('LTRIM', KEYS[5], 0, ARGV[4] - 1)
redis.call('HINCRBY', KEYS[1], 'waiting', -1)
redis.call('HINCRBY', KEYS[1], 'failed', 1)
return 'new'

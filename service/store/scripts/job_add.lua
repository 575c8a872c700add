-- Adds pictures to a job that is being taken in, once, if there is room for what is kept of them; says
-- why it does not. One with a row has failed already.
-- KEYS job, items, rows, pending, latest failures, bytes kept by owner
-- ARGV owner, most bytes of all, most of the owner ('' for no bound), what is counted beside each,
--      failures kept, and number, item, row ('' for none), number, …
if redis.call('HGET', KEYS[1], 'state') ~= 'reading' then return 'gone' end
if redis.call('HEXISTS', KEYS[2], ARGV[6]) == 1 then return 'there' end  -- the answer was lost
local size = 0
for i = 6, #ARGV, 3 do size = size + #ARGV[i + 1] + #ARGV[i + 2] + tonumber(ARGV[4]) end
local kept = redis.call('HMGET', KEYS[6], 'all', ARGV[1])
if tonumber(kept[1] or '0') + size > tonumber(ARGV[2]) then return 'full' end
if ARGV[3] ~= '' and tonumber(kept[2] or '0') + size > tonumber(ARGV[3]) then return 'share' end
redis.call('HINCRBY', KEYS[6], 'all', size)
redis.call('HINCRBY', KEYS[6], ARGV[1], size)
redis.call('HINCRBY', KEYS[1], 'stored', size)
for i = 6, #ARGV, 3 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  redis.call('HINCRBY', KEYS[1], 'count', 1)
  if ARGV[i + 2] == '' then
    redis.call('ZADD', KEYS[4], ARGV[i], ARGV[i])
    redis.call('HINCRBY', KEYS[1], 'waiting', 1)
  else
    redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 2])
    redis.call('LPUSH', KEYS[5], ARGV[i])
    redis.call('LTRIM', KEYS[5], 0, ARGV[5] - 1)
    redis.call('HINCRBY', KEYS[1], 'failed', 1)
  end
end
return 'new'

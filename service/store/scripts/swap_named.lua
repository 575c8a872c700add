-- Changes a field of a hash if neither it nor the name that it takes is other than the caller has read.
-- KEYS hash, hash of names
-- ARGV field, as read ('' for none), as it shall be, name, what stood at the name ('' for nothing),
--      what shall stand there, new each time
local now = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if now == ARGV[3] then return 1 end  -- the reply was lost
if now ~= ARGV[2] then return 0 end
if (redis.call('HGET', KEYS[2], ARGV[4]) or '') ~= ARGV[5] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[4], ARGV[6])
return 1

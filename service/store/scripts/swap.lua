-- Changes a field of a hash if it is still as the caller has read it.
-- KEYS hash, sorted set
-- ARGV field, as read ('' for none), as it shall be, members to enter into the set with score 0, …
local now = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if now == ARGV[3] then return 1 end  -- the reply was lost
if now ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
for i = 4, #ARGV do redis.call('ZADD', KEYS[2], 0, ARGV[i]) end
return 1

-- Says how many members of an index, within dates, come up to and with one, the latest first.
-- KEYS index; ARGV member, earliest, latest
local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
if not rank then return -1 end
local later = 0
if ARGV[3] ~= '+inf' then later = redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[3], '+inf') end
return rank + 1 - later

-- Drops an entry whose date in its index is still the one that was read.
-- KEYS index, entry; ARGV member, date
local date = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not date or tonumber(date) ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 1

-- Adds to the counts of an API key, once.
-- KEYS counts of the day, index, mark that it was done
-- ARGV entry of the index, its score, milliseconds that the mark stays, field, number, …
if not redis.call('SET', KEYS[3], '1', 'NX', 'PX', ARGV[3]) then return 0 end
for i = 4, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return 1

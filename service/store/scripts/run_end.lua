-- Notes what came of a run, and counts its certificate for its API key; once.
-- KEYS run, open runs, index of ended runs, counts of the day, index of counts
-- ARGV run's id, outcome, now, and if there is something to count: entry of the index, its score,
--      field, number, …
redis.call('SREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('HEXISTS', KEYS[1], 'outcome') == 1 then return 0 end
redis.call('HDEL', KEYS[1], 'png', 'process', 'cancel')
redis.call('HSET', KEYS[1], 'outcome', ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
for i = 6, #ARGV, 2 do redis.call('HINCRBY', KEYS[4], ARGV[i], ARGV[i + 1]) end
if #ARGV > 3 then redis.call('ZADD', KEYS[5], ARGV[5], ARGV[4]) end
return 1

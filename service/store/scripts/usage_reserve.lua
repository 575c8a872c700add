-- Counts a call of an API key before it is made, if the key's budget allows that; once.
-- KEYS counts of the day, open calls of the day, money, index
-- ARGV token, entry of the index, its score, cap in billionths of a dollar ('' for none), period
--      of the cap, amount, day, month, 'total', and the counts: field, number, …
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 1 end  -- the answer was lost
if ARGV[4] ~= '' then
  local spent = tonumber(redis.call('HGET', KEYS[3], ARGV[5]) or '0')
  if spent + tonumber(ARGV[6]) > tonumber(ARGV[4]) then return 0 end
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[6])
for i = 7, 9 do redis.call('HINCRBY', KEYS[3], ARGV[i], ARGV[6]) end
for i = 10, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[2])
return 1

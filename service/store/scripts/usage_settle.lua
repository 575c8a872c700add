-- Settles a call that was counted before: what it was not billed is free again; once.
-- KEYS counts of the day, open calls of the day, money
-- ARGV token, what becomes of the amount (0 or less), day, month, 'total', and what becomes of the
--      counts: field, number, …
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
for i = 3, 5 do redis.call('HINCRBY', KEYS[3], ARGV[i], ARGV[2]) end
for i = 6, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1

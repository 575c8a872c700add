-- Changes what is known of a draft, if it is still as the caller has read it; '' for no field.
-- KEYS draft; ARGV current, spoilt, rerolls as read; current, spoilt, rerolls from now on
local fields = {'current', 'spoilt', 'rerolls'}
for i = 1, 3 do
  if (redis.call('HGET', KEYS[1], fields[i]) or '') ~= ARGV[i] then return 0 end
end
for i = 1, 3 do
  if ARGV[3 + i] == '' then redis.call('HDEL', KEYS[1], fields[i])
  else redis.call('HSET', KEYS[1], fields[i], ARGV[3 + i]) end
end
return 1

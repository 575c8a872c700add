-- Changes the entry of an Idempotency-Key, as long as it still has the claim that was read.
-- KEYS entry
-- ARGV claim as read, 'take' | 'keep' | 'forget', new claim or answer, milliseconds to keep it
if redis.call('HGET', KEYS[1], 'claim') ~= ARGV[1] then return 0 end
if ARGV[2] == 'forget' then
  redis.call('DEL', KEYS[1])
elseif ARGV[2] == 'take' then
  redis.call('HSET', KEYS[1], 'claim', ARGV[3])
  redis.call('HDEL', KEYS[1], 'answer')
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
else
  redis.call('HSET', KEYS[1], 'answer', ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return 1

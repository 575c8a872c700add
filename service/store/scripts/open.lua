-- Begins a ledger, unless the subject has one, and makes it the draft's present one.
-- KEYS ledger, draft, names, index
-- ARGV subject, the draft's pointer, count of fields, field, value, …, name key, name, …
if redis.call('EXISTS', KEYS[1]) == 0 then
  local fields = tonumber(ARGV[3])
  for i = 4, 3 + 2 * fields, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
  for i = 4 + 2 * fields, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
  redis.call('SADD', KEYS[4], ARGV[1])
end
redis.call('HSET', KEYS[2], 'current', ARGV[2])
return 1

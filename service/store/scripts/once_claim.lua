-- Claims an Idempotency-Key, or tells who has it.
-- KEYS entry; ARGV claim, milliseconds that it is kept
-- Returns nothing if it is claimed now, else the claim and what came of it ('' for nothing yet).
local claim = redis.call('HGET', KEYS[1], 'claim')
if claim and claim ~= ARGV[1] then
  return {claim, redis.call('HGET', KEYS[1], 'answer') or ''}
end
redis.call('HSET', KEYS[1], 'claim', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return false

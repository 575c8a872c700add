-- Raises a number of a ledger; a lower one is left alone. The sealed text goes with it.
-- KEYS ledger; ARGV field, number, sealed text
local now = redis.call('HGET', KEYS[1], ARGV[1] .. '_number')
if now and tonumber(now) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1] .. '_number', ARGV[2], ARGV[1], ARGV[3])
return 1

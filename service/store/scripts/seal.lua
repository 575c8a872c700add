-- Seals a ledger for good, if it stands where the caller believes it does.
-- KEYS ledger; ARGV n, head, new head, when
local now = redis.call('HMGET', KEYS[1], 'n', 'head', 'sealed')
if now[3] then return {'sealed', now[3]} end
if now[1] ~= ARGV[1] or now[2] ~= ARGV[2] then return {'other'} end
redis.call('HSET', KEYS[1], 'head', ARGV[3], 'sealed', ARGV[4])
return {'done'}

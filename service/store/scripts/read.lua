-- Reads a ledger from a place on, as it stands at one moment.
-- KEYS ledger, votes, macs, labels, names
-- ARGV bytes of votes, bytes of macs, labels, names already known
local names = {}
if redis.call('HLEN', KEYS[5]) ~= tonumber(ARGV[4]) then names = redis.call('HGETALL', KEYS[5]) end
return {redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]),
  redis.call('HGET', KEYS[1], 'end'),
  redis.call('GETRANGE', KEYS[2], ARGV[1], -1),
  redis.call('GETRANGE', KEYS[3], ARGV[2], -1),
  redis.call('LRANGE', KEYS[4], ARGV[3], -1),
  redis.call('HLEN', KEYS[5]), names}

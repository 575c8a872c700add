-- Reads a ledger from a place on, as it stands at one moment.
-- KEYS ledger, votes, macs, labels, names; ARGV bytes of votes, bytes of macs, labels already known
local now = redis.call('HMGET', KEYS[1], 'n', 'head', 'sealed')
return {now[1], now[2], now[3],
  redis.call('GETRANGE', KEYS[2], ARGV[1], -1),
  redis.call('GETRANGE', KEYS[3], ARGV[2], -1),
  redis.call('LRANGE', KEYS[4], ARGV[3], -1),
  redis.call('HKEYS', KEYS[5])}

-- Appends votes to a ledger that stands exactly where the writer believes it does.
-- KEYS ledger, votes, macs, labels, names, claim
-- ARGV token, prefix of the processes' keys, n, head, new n, new head,
--      bytes of votes before, new votes, macs before, new macs, labels before, count of new
--      labels, label, …, name key, name, …
local held = redis.call('GET', KEYS[6])
if held and held ~= ARGV[1] then
  local process = string.match(held, '^[^:]*')
  if redis.call('EXISTS', ARGV[2] .. process) == 1 then return {'lost'} end
end
local now = redis.call('HMGET', KEYS[1], 'n', 'head', 'sealed')
if not now[1] then return {'gone'} end
if now[3] then return {'sealed', now[3]} end
if now[1] == ARGV[5] and now[2] == ARGV[6] then return {'done'} end
if now[1] ~= ARGV[3] or now[2] ~= ARGV[4] then return {'other', now[1]} end
if redis.call('STRLEN', KEYS[2]) ~= tonumber(ARGV[7])
    or redis.call('STRLEN', KEYS[3]) ~= tonumber(ARGV[9])
    or redis.call('LLEN', KEYS[4]) ~= tonumber(ARGV[11]) then
  return {'damaged'}
end
if held ~= ARGV[1] and ARGV[1] ~= '' then redis.call('SET', KEYS[6], ARGV[1]) end
redis.call('APPEND', KEYS[2], ARGV[8])
if ARGV[10] ~= '' then redis.call('APPEND', KEYS[3], ARGV[10]) end
local last = 12 + tonumber(ARGV[12])
for i = 13, last do redis.call('RPUSH', KEYS[4], ARGV[i]) end
for i = last + 1, #ARGV, 2 do redis.call('HSETNX', KEYS[5], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'n', ARGV[5], 'head', ARGV[6])
return {'done'}

-- Appends votes to a ledger that stands exactly where the writer believes it does.
-- KEYS ledger, votes, macs, labels, names, claim
-- ARGV token, prefix of the processes' keys, end, new end, bytes of votes before, new votes,
--      bytes of macs before, new macs, labels before, count of new labels, label, …,
--      name key, name, …
local held = redis.call('GET', KEYS[6])
if held and held ~= ARGV[1] then
  local signed = redis.call('GET', ARGV[2] .. string.match(held, '^[^:]*'))
  if signed and string.find(signed, ' ' .. held .. ' ', 1, true) then return 'lost' end
end
local now = redis.call('HGET', KEYS[1], 'end')
if now == ARGV[4] then return 'done' end
if now ~= ARGV[3]
    or redis.call('STRLEN', KEYS[2]) ~= tonumber(ARGV[5])
    or redis.call('STRLEN', KEYS[3]) ~= tonumber(ARGV[7])
    or redis.call('LLEN', KEYS[4]) ~= tonumber(ARGV[9]) then
  return 'other'
end
if held ~= ARGV[1] and ARGV[1] ~= '' then redis.call('SET', KEYS[6], ARGV[1]) end
if ARGV[6] ~= '' then redis.call('APPEND', KEYS[2], ARGV[6]) end
if ARGV[8] ~= '' then redis.call('APPEND', KEYS[3], ARGV[8]) end
local last = 10 + tonumber(ARGV[10])
for i = 11, last do redis.call('RPUSH', KEYS[4], ARGV[i]) end
for i = last + 1, #ARGV, 2 do redis.call('HSETNX', KEYS[5], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'end', ARGV[4])
return 'done'

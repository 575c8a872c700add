-- Puts a whole ledger back, with what is known of its draft, unless the subject has one.
-- KEYS ledger, votes, macs, labels, names, index, draft
-- ARGV current, spoilt, rerolls of the draft as read; the same from now on ('' for no field);
--      subject, votes, macs, count of fields, field, value, …, count of labels, label, …,
--      name key, name, …
if redis.call('EXISTS', KEYS[1]) == 1 then return 'there' end
local known = {'current', 'spoilt', 'rerolls'}
for i = 1, 3 do
  if (redis.call('HGET', KEYS[7], known[i]) or '') ~= ARGV[i] then return 'moved' end
end
for i = 2, 5 do redis.call('DEL', KEYS[i]) end
local at = 11
for i = at, at + 2 * tonumber(ARGV[10]) - 1, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
at = at + 2 * tonumber(ARGV[10])
if ARGV[8] ~= '' then redis.call('SET', KEYS[2], ARGV[8]) end
if ARGV[9] ~= '' then redis.call('SET', KEYS[3], ARGV[9]) end
local last = at + tonumber(ARGV[at])
for i = at + 1, last do redis.call('RPUSH', KEYS[4], ARGV[i]) end
for i = last + 1, #ARGV, 2 do redis.call('HSET', KEYS[5], ARGV[i], ARGV[i + 1]) end
redis.call('SADD', KEYS[6], ARGV[7])
for i = 1, 3 do
  if ARGV[3 + i] == '' then redis.call('HDEL', KEYS[7], known[i])
  else redis.call('HSET', KEYS[7], known[i], ARGV[3 + i]) end
end
return 'done'

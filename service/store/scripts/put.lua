-- Puts a whole ledger there, with what is known of its draft, unless anything of it is there.
-- KEYS ledger, votes, macs, labels, names, drafts, index
-- ARGV draft, what is known of it as read ('' for nothing), and from now on, the ledger's line in
--      the index, votes, macs, count of fields, field, value, …, count of labels, label, …,
--      name key, name, …
local known = redis.call('HGET', KEYS[6], ARGV[1]) or ''
if known == ARGV[3] and redis.call('EXISTS', KEYS[1]) == 1 then return 'done' end  -- the reply was lost
if known ~= ARGV[2] then return 'moved' end
if redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]) > 0 then return 'there' end
local at = 8 + 2 * tonumber(ARGV[7])
for i = 8, at - 1, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
if ARGV[5] ~= '' then redis.call('SET', KEYS[2], ARGV[5]) end
if ARGV[6] ~= '' then redis.call('SET', KEYS[3], ARGV[6]) end
local last = at + tonumber(ARGV[at])
for i = at + 1, last do redis.call('RPUSH', KEYS[4], ARGV[i]) end
for i = last + 1, #ARGV, 2 do redis.call('HSET', KEYS[5], ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', KEYS[7], 0, ARGV[4])
redis.call('HSET', KEYS[6], ARGV[1], ARGV[3])
return 'done'

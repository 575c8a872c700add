-- Keeps an upload for somebody, once, if there is room for it; says why it does not.
-- KEYS upload, its users, its owners, bytes kept by owner, the loose uploads or the user's job
-- ARGV bytes, user, owner, most bytes of all, most of the owner ('' for no bound), what is counted
--      beside the bytes, entry among the loose uploads ('' for a job's), now
if ARGV[7] == '' and redis.call('HGET', KEYS[5], 'state') ~= 'reading' then return 'gone' end
local new = redis.call('SISMEMBER', KEYS[2], ARGV[2]) == 0
if new then
  local size = #ARGV[1] + tonumber(ARGV[6])
  if redis.call('HEXISTS', KEYS[3], 'bytes') == 0 then
    if tonumber(redis.call('HGET', KEYS[4], 'all') or '0') + size > tonumber(ARGV[4]) then return 'full' end
  end
  if ARGV[5] ~= '' and redis.call('HEXISTS', KEYS[3], ARGV[3]) == 0 then
    if tonumber(redis.call('HGET', KEYS[4], ARGV[3]) or '0') + size > tonumber(ARGV[5]) then return 'share' end
  end
  if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SET', KEYS[1], ARGV[1]) end
  if redis.call('HSETNX', KEYS[3], 'bytes', size) == 1 then redis.call('HINCRBY', KEYS[4], 'all', size) end
  redis.call('SADD', KEYS[2], ARGV[2])
  if redis.call('HINCRBY', KEYS[3], ARGV[3], 1) == 1 then redis.call('HINCRBY', KEYS[4], ARGV[3], size) end
end
if ARGV[7] ~= '' then redis.call('ZADD', KEYS[5], ARGV[8], ARGV[7]) end
return new and 'new' or 'there'

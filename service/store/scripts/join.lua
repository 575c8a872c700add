-- Joins a deployment, begins it, or rotates its secret.
-- KEYS deployment; ARGV id of our secret, format, ids of our old secrets …
local now = redis.call('HMGET', KEYS[1], 'secret_id', 'format', 'retired')
if now[1] and now[2] ~= ARGV[2] then return {'format', now[1], now[2] or '?'} end
if not now[1] then
  redis.call('HSET', KEYS[1], 'secret_id', ARGV[1], 'format', ARGV[2], 'retired', '')
  return {'joined', ARGV[1], ARGV[2]}
end
if now[1] == ARGV[1] then return {'joined', now[1], now[2]} end
local retired = now[3] or ''
if string.find(' ' .. retired .. ' ', ' ' .. ARGV[1] .. ' ', 1, true) then
  return {'retired', now[1], now[2]}
end
for i = 3, #ARGV do
  if ARGV[i] == now[1] then
    redis.call('HSET', KEYS[1], 'secret_id', ARGV[1], 'retired', retired .. ' ' .. now[1])
    return {'joined', ARGV[1], now[2]}
  end
end
return {'other', now[1], now[2]}

-- Reads what is known of a draft, and which ledgers of it the index names, at one moment.
-- KEYS drafts, index; ARGV draft
return {redis.call('HGET', KEYS[1], ARGV[1]),
  redis.call('ZRANGE', KEYS[2], '[' .. ARGV[1] .. ':', '(' .. ARGV[1] .. ';', 'BYLEX')}

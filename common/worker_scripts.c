/* The Lua of the workers' side of a partition; contracts in the header. */

#include "worker_scripts.h"

/*
 * Of scripts that memory is freed by, or that must be run before it can be:
 * they do their part when Redis has none left for anything else (noeviction).
 */
#define LUA_FULL  "#!lua flags=allow-oom\n"

#define LUA_FENCE                                                             \
    "local o = redis.call('HMGET', KEYS[1], 'owner', 'fence')\n"              \
    "if o[1] ~= ARGV[1] or o[2] ~= ARGV[2] then\n"                            \
    "  return {-1, o[1] or '', o[2] or ''}\n"                                 \
    "end\n"

#define LUA_OVER                                                              \
    "local over = {succeeded=1, failed=1, dead=1, cancelled=1}\n"

/*
 * Who watches a job is told that it has changed (queue_scripts.h); with nobody
 * in the partition's table that costs one call for the whole batch.  One that
 * has died may be requeued, so who watches it stays there.
 */
#define LUA_SAY                                                               \
    "for channel in string.gmatch(who or '', 'travel:reply:%S+') do\n"        \
    "  redis.call('PUBLISH', channel, '{\"id\":\"' .. part .. '.' ..\n"        \
    "             uuid .. '\"}')\n"                                           \
    "end\n"

#define LUA_TELL                                                              \
    "local watch = string.sub(KEYS[5], 1, -8) .. 'watch'\n"                   \
    "local part = string.match(KEYS[5], '{(.-)}')\n"                          \
    "for i = 1, call('HLEN', watch) > 0 and #uuids or 0, 36 do\n"             \
    "  local uuid = string.sub(uuids, i, i + 35)\n"                           \
    "  local who = call('HGET', watch, uuid)\n"                               \
    LUA_SAY                                                                   \
    "  local is = who and call('HGET', prefix .. uuid, 'status')\n"           \
    "  if over[is or ''] and is ~= 'dead' then\n"                             \
    "    call('HDEL', watch, uuid)\n"                                         \
    "  end\n"                                                                 \
    "end\n"

/*
 * The jobs of a batch are two arguments, however many they are: Redis reads
 * some 20 KB of a connection at a time, does what is complete of it and syncs
 * its log, so what is short is done with others under one sync.  And it costs
 * less to cut a text than to be handed hundreds.
 */
#define LUA_BATCH                                                             \
    "local call, sub, byte = redis.call, string.sub, string.byte\n"           \
    "local now, uuids, ids = ARGV[3], ARGV[4], nil\n"                         \
    "local prefix = sub(KEYS[5], 1, -8) .. 'job:'\n"                          \
    "local function entry(i)\n"                                               \
    "  if not ids then\n"                                                     \
    "    ids = {}\n"                                                          \
    "    for id in string.gmatch(ARGV[5], '%S+') do ids[#ids + 1] = id end\n" \
    "  end\n"                                                                 \
    "  return ids[i]\n"                                                       \
    "end\n"

/* Those of them that are over now, for FORGET: one entry, where each hash would
 * need an EXPIRE, and each EXPIRE a line of the log. */
#define LUA_ENDED                                                             \
    "if #ended > 0 then\n"                                                    \
    "  redis.call('XADD', string.sub(prefix, 1, -5) .. 'ended', '*',\n"       \
    "             'uuids', table.concat(ended))\n"                            \
    "end\n"

/*
 * Whoever adopts again (an answer was lost, the connection is another one)
 * does it under a higher turn: what the old connection may still hold in a
 * buffer is refused from then on.  A group is what an older version has left.
 */
static const char  lua_adopt[] =
    LUA_FULL
    "local o = redis.call('HMGET', KEYS[1], 'owner', 'fence', 'closed',\n"
    "                     'before')\n"
    "local mine, theirs = tonumber(ARGV[2]), tonumber(o[2] or '0')\n"
    "local name, turn = string.match(ARGV[1], '^(.*)#(%d+)$')\n"
    "local last, at = string.match(o[1] or '', '^(.*)#(%d+)$')\n"
    "if theirs > mine or (theirs == mine\n"
    "    and (last ~= name or tonumber(at) > tonumber(turn))) then\n"
    "  return {-1, o[1] or '', o[2] or ''}\n"
    "end\n"
    "redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fence', ARGV[2])\n"
    "local out = {0}\n"
    "for i = 2, 4 do\n"
    "  local newest, oldest = '0-0', ''\n"
    "  local key = KEYS[i] .. (o[3] and '" TRAVEL_CLOSED "' or '')\n"
    "  local info = redis.pcall('XINFO', 'STREAM', key)\n"
    "  if info.err and string.find(info.err, 'WRONGTYPE', 1, true) then\n"
    "    return redis.error_reply('ERR ' .. key .. ' is no stream: see what "
    "it is, then DEL it')\n"
    "  end\n"
    "  for n = 1, info.err and 0 or #info, 2 do\n"
    "    if info[n] == 'last-generated-id' then newest = info[n + 1] end\n"
    "    if info[n] == 'first-entry' and info[n + 1] then\n"
    "      oldest = info[n + 1][1]\n"
    "    end\n"
    "  end\n"
    "  redis.pcall('XGROUP', 'DESTROY', key, 'workers')\n"
    "  out[#out + 1] = newest\n"
    "  out[#out + 1] = oldest\n"
    "end\n"
    "out[8], out[9] = o[3] or '', o[4] or ''\n"
    "return out\n";


/* The set may hold a million that have a time of their own: those are gone
 * through, and not answered. */
static const char  lua_delayed[] =
    LUA_FENCE
    "local prefix = string.sub(KEYS[2], 1, -8) .. 'job:'\n"
    "local to = tonumber(ARGV[3]) + tonumber(ARGV[4]) - 1\n"
    "local r = redis.call('ZRANGE', KEYS[2], ARGV[3], to, 'WITHSCORES')\n"
    "local out = {0, #r < 2 * tonumber(ARGV[4]) and 1 or 0}\n"
    "for i = 1, #r, 2 do\n"
    "  local k, later = prefix .. r[i], r[i + 1] ~= '0'\n"
    "  if later and ARGV[5] == '0' then\n"
    "    out[2] = 1\n"
    "    break\n"
    "  end\n"
    "  local status = redis.call('HGET', k, 'status')\n"
    "  if not later or status ~= 'queued' then\n"
    "    out[#out + 1] = r[i]\n"
    "    out[#out + 1] = r[i + 1]\n"
    "    out[#out + 1] = status or ''\n"
    "    out[#out + 1] = redis.call('HGET', k, 'entry') or ''\n"
    "  end\n"
    "end\n"
    "return out\n";


/* One that is queued has had no attempt yet, nor anything that attempts
 * leave behind. */
static const char  lua_start[] =
    LUA_FULL
    LUA_FENCE
    LUA_OVER
    LUA_BATCH
    "local out, ended = {0}, {}\n"
    "for i = 1, #ARGV[6] do\n"
    "  local uuid = sub(uuids, 36 * i - 35, 36 * i)\n"
    "  local k = prefix .. uuid\n"
    "  local was = call('HGET', k, 'status')\n"
    "  if over[was] then\n"
    "    local s = byte(ARGV[6], i) - 48\n"
    "    if s > 0 then\n"
    "      call('XDEL', KEYS[s + 1], entry(i))\n"
    "    else\n"
    "      call('ZREM', KEYS[5], uuid)\n"
    "    end\n"
    "    ended[#ended + 1] = uuid\n"
    "    out[i + 1] = was == 'cancelled' and -1 or -2\n"
    "  else\n"
    "    out[i + 1] = 0\n"
    "    if was ~= 'queued' then\n"
    "      local j = call('HMGET', k, 'attempts', 'suspect', 'cancel')\n"
    "      out[i + 1] = tonumber(j[1] or '0') + (j[2] and 1000000 or 0)\n"
    "                   + (was == 'running' and 2000000 or 0)\n"
    "                   + (j[3] and 4000000 or 0)\n"
    "    end\n"
    "    call('HSET', k, 'status', 'running', 'updated_at', now)\n"
    "  end\n"
    "end\n"
    LUA_ENDED
    LUA_TELL
    "return out\n";


/*
 * A call costs Redis more than what it does: a job that just succeeded takes
 * one, and what its batch settles at the head of a stream goes
 * with one XTRIM.  The owner says up to where; that its word is about this
 * stream and not about one that was lost shows in the stream's first entry.
 * Else, and what lies behind a gap, is taken out entry by entry.
 */
static const char  lua_settle[] =
    LUA_FULL
    LUA_FENCE
    LUA_OVER
    LUA_BATCH
    "local check, heads = ARGV[6], ARGV[7]\n"
    "local left, ended, out, a = {0, 0, 0}, {}, {0}, 14\n"
    "local function bury(k, x)\n"
    "  local f = {'cause', ARGV[x], 'attempts', ARGV[x + 1],\n"
    "    'first_error', call('HGET', k, 'first_error') or ARGV[x + 2],\n"
    "    'last_error', ARGV[x + 2], 'trace', ARGV[x + 3], 'died_at', now}\n"
    "  local e = cmsgpack.unpack(ARGV[x + 4])\n"
    "  for i = 1, math.min(#e, 512) do f[#f + 1] = e[i] end\n"
    "  if #f % 2 == 1 then f[#f + 1] = '' end\n"
    "  call('XADD', KEYS[6], 'MAXLEN', '~', " TRAVEL_DEAD_MAX ", '*',\n"
    "       unpack(f))\n"
    "end\n"
    "for i = 1, #heads / 4 do\n"
    "  local uuid = sub(uuids, 36 * i - 35, 36 * i)\n"
    "  local k, first = prefix .. uuid, a\n"
    "  local s, kind, n, waits = byte(heads, 4 * i - 3, 4 * i)\n"
    "  s, n = s - 48, n - 48\n"
    "  a = first + n\n"
    "  local reply, x = waits ~= 45 and a, nil\n"                   /* - */
    "  local once = waits == 111\n"                                 /* o */
    "  if reply then a = a + (once and 3 or 2) end\n"
    "  if kind == 82 then x, a = a, a + 3\n"                        /* R */
    "  elseif kind == 68 or kind == 66 then x, a = a, a + 5 end\n"  /* D, B */
    "  local again, written = false, 1\n"
    "  if kind == 66 then\n"
    "    bury(k, x)\n"
    "  elseif check == '1' and over[call('HGET', k, 'status')] then\n"
    "    written = 0\n"
    "  else\n"
    "    if kind == 83 then\n"                                      /* S */
    "      call('HSET', k, 'status', 'succeeded', 'updated_at', now,\n"
    "           'attempts', '1')\n"
    "    else\n"
    "      call('HSET', k, 'updated_at', now,\n"
    "           unpack(ARGV, first, first + n - 1))\n"
    "    end\n"
    "    if kind == 82 then\n"
    "      again = true\n"
    "      if ARGV[x + 1] ~= '' then\n"
    "        call('HSETNX', k, 'first_error', ARGV[x + 1])\n"
    "      end\n"
    "      call('HSET', k, 'entry', ARGV[x + 2])\n"
    "      call('ZADD', KEYS[5], ARGV[x], uuid)\n"
    "    else\n"
    "      if kind == 68 then bury(k, x) end\n"
    "      if kind == 72 then\n"                                    /* H */
    "        call('HDEL', k, 'error', 'first_error', 'entry', 'suspect')\n"
    "      end\n"
    "      ended[#ended + 1] = uuid\n"
    "      if reply then\n"
    "        local part = string.match(k, '{(.-)}')\n"
    "        call('PUBLISH', ARGV[reply], '{\"id\":\"' .. part .. '.' ..\n"
    "             uuid .. '\",\"status\":\"' .. ARGV[reply + 1] .. '\"' ..\n"
    "             (once and ',\"result\":' .. ARGV[reply + 2] or '') .. '}')\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "  out[i + 1] = written\n"
    "  if s > 0 then\n"
    "    left[s] = left[s] + 1\n"
    "  elseif not again then\n"
    "    call('ZREM', KEYS[5], uuid)\n"
    "  end\n"
    "end\n"
    "for s = 1, 3 do\n"
    "  local n, key, oldest = left[s], KEYS[s + 1], ARGV[6 + 2 * s]\n"
    "  if n > 4 and oldest ~= '' then\n"
    "    local first = call('XRANGE', key, '-', '+', 'COUNT', 1)[1]\n"
    "    if first and first[1] == oldest then\n"
    "      n = n - call('XTRIM', key, 'MINID', ARGV[7 + 2 * s])\n"
    "    end\n"
    "  end\n"
    "  if n > 0 then\n"
    "    local gone = {}\n"
    "    for i = 1, #heads / 4 do\n"
    "      if byte(heads, 4 * i - 3) == 48 + s then\n"
    "        gone[#gone + 1] = entry(i)\n"
    "      end\n"
    "    end\n"
    "    call('XDEL', key, unpack(gone))\n"
    "  end\n"
    "end\n"
    LUA_ENDED
    LUA_TELL
    "return out\n";


static const char  lua_promote[] =
    LUA_FULL
    LUA_FENCE
    LUA_OVER
    "local prefix = string.sub(KEYS[2], 1, -8) .. 'job:'\n"
    "local due = redis.call('ZRANGEBYSCORE', KEYS[2], '(0', ARGV[3],\n"
    "                       'LIMIT', 0, ARGV[4])\n"
    "local out, ended, paused, off = {0, ''}, {}, {}, nil\n"
    "for i = 5, #ARGV do paused[ARGV[i]] = true end\n"
    "for _, m in ipairs(due) do\n"
    "  local j = redis.call('HMGET', prefix .. m, 'status', 'entry', 'type')\n"
    "  local out = paused[j[3]] and not over[j[1]] and {} or out\n"
    "  if over[j[1]] or not j[2] then\n"
    "    redis.call('ZREM', KEYS[2], m)\n"
    "    ended[#ended + 1] = m\n"
    "    j[2] = ''\n"
    "  elseif paused[j[3]] then\n"
    "    off = off or ARGV[3] +\n"
    "          math.max(1000, redis.call('ZCARD', KEYS[2]) / 10)\n"
    "    redis.call('ZADD', KEYS[2], string.format('%.0f', off), m)\n"
    "  else\n"
    "    redis.call('ZADD', KEYS[2], 0, m)\n"
    "  end\n"
    "  out[#out + 1] = m\n"
    "  out[#out + 1] = j[1] or ''\n"
    "  out[#out + 1] = j[2]\n"
    "end\n"
    "local next = redis.call('ZRANGEBYSCORE', KEYS[2], '(0', '+inf',\n"
    "                        'WITHSCORES', 'LIMIT', 0, 1)\n"
    "out[2] = next[2] or ''\n"
    LUA_ENDED
    "return out\n";


/*
 * A job that was requeued is in two entries: of the first it is not over yet,
 * or not for so long, and then the second will have it.  Should the clocks
 * differ so much that neither has, its hash goes by itself.
 */
static const char  lua_forget[] =
    LUA_FULL
    LUA_OVER
    "local call, gone, uuids = redis.call, {}, {}\n"
    "local prefix = string.sub(KEYS[2], 1, -6) .. 'job:'\n"
    "local watch = string.sub(KEYS[2], 1, -6) .. 'watch'\n"
    "local before = (call('TIME')[1] - ARGV[1]) * 1000\n"
    "local to = string.format('%.0f', before)\n"
    "if call('HEXISTS', KEYS[1], 'closed') == 1 then to = '+' end\n"
    "local e = call('XRANGE', KEYS[2], '-', to, 'COUNT', 1)[1]\n"
    "if not e then return 0 end\n"
    "for i = 1, #e[2][2], 36 do\n"
    "  local uuid = string.sub(e[2][2], i, i + 35)\n"
    "  local k = prefix .. uuid\n"
    "  local j = call('HMGET', k, 'status', 'updated_at')\n"
    "  if over[j[1]] and tonumber(j[2] or '0') <= before then\n"
    "    gone[#gone + 1] = k\n"
    "    uuids[#uuids + 1] = uuid\n"
    "  elseif over[j[1]] then\n"
    "    call('EXPIRE', k, ARGV[1])\n"
    "  end\n"
    "end\n"
    "if #gone > 0 then call('UNLINK', unpack(gone)) end\n"
    "if #gone > 0 and call('HLEN', watch) > 0 then\n"
    "  call('HDEL', watch, unpack(uuids))\n"
    "end\n"
    "call('XDEL', KEYS[2], e[1])\n"
    "return 1\n";


/* The envelope begins at ARGV[first]: onto its stream, or into the delayed
 * set when its time has not come. */
#define LUA_PUT(first)                                                        \
    "if tonumber(ARGV[1]) > tonumber(ARGV[2]) then\n"                         \
    "  local f = {}\n"                                                        \
    "  for i = " first ", #ARGV do f[#f + 1] = ARGV[i] end\n"                 \
    "  redis.call('HSET', KEYS[1], 'entry', cmsgpack.pack(f))\n"              \
    "  redis.call('ZADD', KEYS[3], ARGV[1], ARGV[3])\n"                       \
    "else\n"                                                                  \
    "  redis.call('XADD', KEYS[2], '*', unpack(ARGV, " first "))\n"           \
    "end\n"                                                                   \
    "return 1\n"


#define LUA_CLOSED                                                            \
    "if redis.call('TYPE', KEYS[2]).ok == 'string' then return -1 end\n"


/* One that waits still takes the other's body and time; of that there is a hash
 * left, for who asks, and so that a repeat of it is none. */
#define LUA_DEBOUNCE                                                          \
    "  local was = redis.call('GET', KEYS[4]) or ''\n"                        \
    "  local k = string.sub(KEYS[3], 1, -8) .. 'job:' .. was\n"               \
    "  local due = tonumber(redis.call('ZSCORE', KEYS[3], was) or '0')\n"     \
    "  local j = redis.call('HMGET', k, 'status', 'entry', 'latest')\n"       \
    "  if due > 0 and j[1] == 'queued' and j[2] and j[3] then\n"              \
    "    local old, f = cmsgpack.unpack(j[2]), {}\n"                          \
    "    for i = 1, #old, 2 do\n"                                             \
    "      if old[i] == 'id' then e.id = old[i + 1] end\n"                    \
    "    end\n"                                                               \
    "    for i = 5, #ARGV, 2 do\n"                                            \
    "      f[#f + 1] = ARGV[i]\n"                                             \
    "      f[#f + 1] = ARGV[i] == 'id' and e.id or ARGV[i + 1]\n"             \
    "    end\n"                                                               \
    "    redis.call('HSET', k, 'entry', cmsgpack.pack(f), 'key', e.key,\n"    \
    "               'sub', e.sub, 'updated_at', ARGV[2])\n"                   \
    "    redis.call('ZADD', KEYS[3], math.min(ARGV[1], j[3]), was)\n"         \
    "    redis.call('HSET', KEYS[1], 'status', 'cancelled', 'type', e.type,\n" \
    "        'queue', ARGV[4], 'sub', e.sub, 'key', e.key, 'attempts', '0',\n" \
    "        'created_at', ARGV[2], 'updated_at', ARGV[2], 'error',\n"        \
    "        '{\"code\":\"MERGED\",\"message\":\"' .. e.id ..\n"            \
    "        ' does it\"}')\n"                                               \
    "    redis.call('PEXPIRE', KEYS[1], math.max(window, 3600000))\n"         \
    "    return 0\n"                                                          \
    "  end\n"                                                                 \
    "  redis.call('SET', KEYS[4], ARGV[3], 'PX', window)\n"


/* A repeat writes what is there once more: whoever waits until replicas have
 * its write then knows that they have the first one's, too. */
static const char  lua_enqueue[] =
    "if redis.call('EXISTS', KEYS[1]) == 1 then\n"
    "  redis.call('HSET', KEYS[1], 'queue', ARGV[4])\n"
    "  return 0\n"
    "end\n"
    LUA_CLOSED
    "local window, quiet = ARGV[5], ARGV[6]\n"
    "if KEYS[4] then\n"
    "  table.remove(ARGV, 5)\n"
    "  table.remove(ARGV, 5)\n"
    "end\n"
    "local e = {}\n"
    "for i = 5, #ARGV, 2 do e[ARGV[i]] = ARGV[i + 1] end\n"
    "if KEYS[4] and quiet == '0' then\n"
    "  if not redis.call('SET', KEYS[4], ARGV[3], 'NX', 'PX', window)\n"
    "      and redis.call('GET', KEYS[4]) ~= ARGV[3] then\n"
    "    return 0\n"
    "  end\n"
    "elseif KEYS[4] then\n"
    LUA_DEBOUNCE
    "  redis.call('HSET', KEYS[1], 'latest', ARGV[2] + window)\n"
    "end\n"
    "redis.call('HSET', KEYS[1], 'status', 'queued', 'type', e.type,\n"
    "    'queue', ARGV[4], 'sub', e.sub, 'key', e.key,\n"
    "    'created_at', ARGV[2], 'updated_at', ARGV[2], 'attempts', '0')\n"
    LUA_PUT("5");


static const char  lua_requeue[] =
    "local was = redis.call('HMGET', KEYS[1], 'status', 'requeued')\n"
    "if was[2] == ARGV[5] then\n"
    "  redis.call('HSET', KEYS[1], 'requeued', ARGV[5])\n"
    "  return 0\n"
    "end\n"
    "if was[1] and was[1] ~= 'dead' then\n"
    "  return 0\n"
    "end\n"
    LUA_CLOSED
    "local e = {}\n"
    "for i = 6, #ARGV, 2 do e[ARGV[i]] = ARGV[i + 1] end\n"
    "redis.call('HDEL', KEYS[1], 'error', 'first_error', 'entry', 'suspect',\n"
    "    'result', 'claim', 'progress', 'cancel')\n"
    "redis.call('HSETNX', KEYS[1], 'created_at', e.ts or ARGV[2])\n"
    "redis.call('HSET', KEYS[1], 'status', 'queued', 'type', e.type,\n"
    "    'queue', ARGV[4], 'sub', e.sub, 'key', e.key, 'updated_at', ARGV[2],\n"
    "    'attempts', '0', 'requeued', ARGV[5])\n"
    "redis.call('PERSIST', KEYS[1])\n"
    "local part, uuid = string.match(KEYS[1], '{(.-)}:job:(.*)$')\n"
    "local who = redis.call('HGET', 'travel:{' .. part .. '}:watch', uuid)\n"
    LUA_SAY
    LUA_PUT("6");


static const char  lua_ahead[] =
    "local passed, keys, out = {}, {}, {0, ARGV[1], ''}\n"
    "for i = 4, #ARGV do passed[ARGV[i]] = true end\n"
    "local r = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+',\n"
    "                     'COUNT', ARGV[2])\n"
    "for n, e in ipairs(r) do\n"
    "  local f, sub, key = e[2], '', ''\n"
    "  for i = 1, #f, 2 do\n"
    "    if f[i] == 'sub' then sub = f[i + 1] end\n"
    "    if f[i] == 'key' then key = f[i + 1] end\n"
    "  end\n"
    "  out[1], out[2] = n, e[1]\n"
    "  if not passed[sub] then\n"
    "    out[#out + 1] = e\n"
    "    if #out == 3 + tonumber(ARGV[3]) then break end\n"
    "  elseif #key >= 12 then\n"
    "    keys[#keys + 1] = string.sub(key, -12)\n"
    "  end\n"
    "end\n"
    "out[3] = table.concat(keys)\n"
    "return out\n";


/* One clock for all processes, wherever they run: theirs may differ, or be
 * set. */
#define LUA_NOW                                                               \
    "local t = redis.call('TIME')\n"                                          \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"


/* What is in the future was written before the clock was set back. */
static const char  lua_seats[] =
    LUA_FULL
    LUA_NOW
    "local old = string.format('%.0f', now - ARGV[2])\n"
    "now = string.format('%.0f', now)\n"
    "redis.call('ZADD', KEYS[1], now, ARGV[1])\n"
    "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', old)\n"
    "redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')\n"
    "return redis.call('ZRANGE', KEYS[1], 0, -1)\n";


/* A row: what counts as its own (granted or still running), what it wants,
 * until when that counts, since when it has some or waits for some. */
static const char  lua_limit[] =
    LUA_FULL
    LUA_NOW
    "local me, limit = ARGV[1], tonumber(ARGV[2])\n"
    "local running, want = tonumber(ARGV[3]), tonumber(ARGV[4])\n"
    "local all = redis.call('HGETALL', KEYS[1])\n"
    "local held, since, others, wants, waiting = 0, now, 0, want, {}\n"
    "for i = 1, #all, 2 do\n"
    "  local g, w, t, s = string.match(all[i + 1],\n"
    "                                  '^(%d+) (%d+) (%d+) (%d+)$')\n"
    "  g, w, t, s = tonumber(g), tonumber(w), tonumber(t), tonumber(s)\n"
    "  if all[i] == me then\n"
    "    held, since = g, w > 0 and s or now\n"
    "  elseif t < now then\n"
    "    redis.call('HDEL', KEYS[1], all[i])\n"
    "  else\n"
    "    others, wants = others + g, wants + w\n"
    "    if g == 0 and w > 0 then waiting[#waiting + 1] = s end\n"
    "  end\n"
    "end\n"
    "local before = 0\n"
    "for _, s in ipairs(waiting) do\n"
    "  if held > 0 and now - since >= 500 or held == 0 and s < since then\n"
    "    before = before + 1\n"
    "  end\n"
    "end\n"
    "local grant = math.min(want, limit - others - before)\n"
    "if wants > limit then\n"
    "  grant = math.min(grant, math.max(1, math.floor(limit * want / wants)))\n"
    "end\n"
    "grant = math.max(grant, 0)\n"
    "local mine = math.max(grant, running)\n"
    "if (mine > 0) ~= (held > 0) then since = now end\n"
    "redis.call('HSET', KEYS[1], me, string.format('%d %d %d %d', mine, want,\n"
    "           now + 5000, since))\n"
    "redis.call('PEXPIRE', KEYS[1], 60000)\n"
    "return {grant, wants}\n";


static const char  lua_call_off[] =
    LUA_FULL
    "local status = redis.call('HGET', KEYS[1], 'status')\n"
    "if status == 'queued' then\n"
    "  redis.call('HSET', KEYS[1], 'status', 'cancelled',\n"
    "             'updated_at', ARGV[1])\n"
    "  return 'cancelled'\n"
    "end\n"
    "if status == 'running' or status == 'retrying' then\n"
    "  redis.call('HSET', KEYS[1], 'cancel', '1')\n"
    "  return 'told'\n"
    "end\n"
    "return status or ''\n";


static const char  lua_browse[] =
    "local call, out = redis.call, {''}\n"
    "local prefix = string.match(KEYS[1], '^(.-}:)') .. 'job:'\n"
    "local names = {'type', 'sub', 'key', 'ts', 'tp', 'deadline', 'sealed',\n"
    "               'claim', 'body'}\n"
    "local function put(uuid, at, f)\n"
    "  local e, row = {}, {uuid, at}\n"
    "  for i = 1, #f - 1, 2 do e[f[i]] = f[i + 1] end\n"
    "  if not uuid then row[1] = string.match(e.id or '', '[^.]*$') end\n"
    "  local j = call('HMGET', prefix .. row[1], 'status', 'attempts',\n"
    "                 'updated_at', 'error', 'cancel')\n"
    "  for i = 1, 5 do row[2 + i] = j[i] or '' end\n"
    "  for i, name in ipairs(names) do row[7 + i] = e[name] or '' end\n"
    "  out[#out + 1] = row\n"
    "end\n"
    "local n = tonumber(ARGV[2])\n"
    "if call('TYPE', KEYS[1]).ok == 'zset' then\n"
    "  local from = tonumber(ARGV[1])\n"
    "  local r = call('ZRANGE', KEYS[1], from, from + n - 1, 'WITHSCORES')\n"
    "  for i = 1, #r, 2 do\n"
    "    local pack = call('HGET', prefix .. r[i], 'entry')\n"
    "    if pack then put(r[i], r[i + 1], cmsgpack.unpack(pack)) end\n"
    "  end\n"
    "  if #r == 2 * n then out[1] = tostring(from + n) end\n"
    "elseif call('TYPE', KEYS[1]).ok == 'stream' then\n"
    "  local after = ARGV[1] == '0' and '-' or '(' .. ARGV[1]\n"
    "  local r = call('XRANGE', KEYS[1], after, '+', 'COUNT', n)\n"
    "  for _, e in ipairs(r) do put(nil, e[1], e[2]) end\n"
    "  if #r == n then out[1] = r[n][1] end\n"
    "end\n"
    "return out\n";


static const char  lua_now[] =
    LUA_FULL
    "local at = redis.call('ZSCORE', KEYS[1], ARGV[1])\n"
    "if not at or tonumber(at) == 0 then return 0 end\n"
    "if tonumber(at) > tonumber(ARGV[2]) then\n"
    "  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])\n"
    "end\n"
    "return 1\n";


static const char  lua_progress[] =
    "redis.call('HSET', KEYS[1], 'progress', ARGV[1])\n"
    "local part, uuid = string.match(KEYS[1], '{(.-)}:job:(.*)$')\n"
    "local who = redis.call('HGET', 'travel:{' .. part .. '}:watch', uuid)\n"
    LUA_SAY
    "return 1\n";


static const char  lua_suspect[] =
    LUA_FULL
    "if redis.call('HGET', KEYS[1], 'status') ~= 'running' then\n"
    "  return 0\n"
    "end\n"
    "redis.call('HINCRBY', KEYS[1], 'attempts', 1)\n"
    "redis.call('HSET', KEYS[1], 'suspect', '1')\n"
    "return 1\n";


static const char  lua_gauge[] =
    "local out = {}\n"
    "local oldest = ''\n"
    "for i = 1, 3 do\n"
    "  out[i] = redis.call('XLEN', KEYS[i])\n"
    "  local e = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)[1]\n"
    "  if e and (oldest == '' or tonumber(string.match(e[1], '^%d+'))\n"
    "            < tonumber(string.match(oldest, '^%d+'))) then\n"
    "    oldest = e[1]\n"
    "  end\n"
    "end\n"
    "out[4] = redis.call('ZCARD', KEYS[4])\n"
    "out[5] = redis.call('XLEN', KEYS[5])\n"
    "out[6] = oldest\n"
    "return out\n";


/* The owner's name goes up by a turn: what it has sent by then is refused, and
 * it adopts again. */
#define LUA_NEXT_TURN                                                         \
    "local name, turn = string.match(redis.call('HGET', KEYS[1], 'owner')\n"  \
    "                                or '', '^(.*)#(%d+)$')\n"                \
    "if name then\n"                                                          \
    "  redis.call('HSET', KEYS[1], 'owner', name .. '#' .. (turn + 1))\n"     \
    "end\n"


static const char  lua_open[] =
    "if redis.call('HEXISTS', KEYS[1], 'closed') == 1 then\n"
    "  local left = redis.call('ZCARD', KEYS[5])\n"
    "  for i = 2, 4 do\n"
    "    left = left + redis.call('XLEN', KEYS[i] .. '" TRAVEL_CLOSED "')\n"
    "  end\n"
    "  if left > 0 then return 0 end\n"
    "  for i = 2, 4 do\n"
    "    redis.call('DEL', KEYS[i], KEYS[i] .. '" TRAVEL_CLOSED "')\n"
    "  end\n"
    "  redis.call('HDEL', KEYS[1], 'closed')\n"
    "end\n"
    "redis.call('HSET', KEYS[1], 'before', ARGV[1])\n"
    LUA_NEXT_TURN
    "return 1\n";


static const char  lua_close[] =
    "if redis.call('HEXISTS', KEYS[1], 'closed') == 1 then return 0 end\n"
    "for i = 2, 4 do\n"
    "  if redis.call('EXISTS', KEYS[i]) == 1 then\n"
    "    redis.call('RENAME', KEYS[i], KEYS[i] .. '" TRAVEL_CLOSED "')\n"
    "  end\n"
    "  redis.call('SET', KEYS[i], 'closed')\n"
    "end\n"
    "redis.call('HSET', KEYS[1], 'closed', '1')\n"
    LUA_NEXT_TURN
    "return 1\n";


static const char  lua_before[] =
    "if redis.call('HEXISTS', KEYS[1], 'closed') == 0 then return {-1} end\n"
    "local max, out = tonumber(ARGV[1]), {0}\n"
    "local prefix = string.sub(KEYS[5], 1, -8) .. 'job:'\n"
    "local keys = {}\n"
    "for i = 2, 4 do\n"
    "  keys[i] = KEYS[i] .. '" TRAVEL_CLOSED "'\n"
    "  out[1] = out[1] + redis.call('XLEN', keys[i])\n"
    "end\n"
    "local r = redis.call('ZRANGE', KEYS[5], 0, -1, 'WITHSCORES')\n"
    "for i = 1, #r, 2 do\n"
    "  local j = redis.call('HMGET', prefix .. r[i], 'status', 'key')\n"
    "  if j[2] and (r[i + 1] == '0' or j[1] ~= 'queued') then\n"
    "    out[1] = out[1] + 1\n"
    "    out[#out + 1] = j[2]\n"
    "  end\n"
    "end\n"
    "if out[1] > max then return {out[1]} end\n"
    "for i = 2, 4 do\n"
    "  for _, e in ipairs(redis.call('XRANGE', keys[i], '-', '+')) do\n"
    "    for n = 1, #e[2], 2 do\n"
    "      if e[2][n] == 'key' then out[#out + 1] = e[2][n + 1] end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return out\n";


static const char  lua_write[] =
    LUA_FULL
    "return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))\n";


#define SCRIPT(name, text)  { name, { text, sizeof(text) - 1 } }

static const struct {
    const char    *name;
    travel_str_t   text;
} worker_scripts[TRAVEL_SCRIPT_MAX] = {
    [TRAVEL_SCRIPT_ADOPT]   = SCRIPT("adopt", lua_adopt),
    [TRAVEL_SCRIPT_DELAYED] = SCRIPT("delayed", lua_delayed),
    [TRAVEL_SCRIPT_START]   = SCRIPT("start", lua_start),
    [TRAVEL_SCRIPT_SETTLE]  = SCRIPT("settle", lua_settle),
    [TRAVEL_SCRIPT_PROMOTE] = SCRIPT("promote", lua_promote),
    [TRAVEL_SCRIPT_FORGET]  = SCRIPT("forget", lua_forget),
    [TRAVEL_SCRIPT_ENQUEUE] = SCRIPT("enqueue", lua_enqueue),
    [TRAVEL_SCRIPT_REQUEUE] = SCRIPT("requeue", lua_requeue),
    [TRAVEL_SCRIPT_AHEAD]   = SCRIPT("ahead", lua_ahead),
    [TRAVEL_SCRIPT_SEATS]   = SCRIPT("seats", lua_seats),
    [TRAVEL_SCRIPT_LIMIT]   = SCRIPT("limit", lua_limit),
    [TRAVEL_SCRIPT_CALL_OFF] = SCRIPT("call_off", lua_call_off),
    [TRAVEL_SCRIPT_BROWSE]  = SCRIPT("browse", lua_browse),
    [TRAVEL_SCRIPT_NOW]     = SCRIPT("now", lua_now),
    [TRAVEL_SCRIPT_PROGRESS] = SCRIPT("progress", lua_progress),
    [TRAVEL_SCRIPT_SUSPECT] = SCRIPT("suspect", lua_suspect),
    [TRAVEL_SCRIPT_GAUGE]   = SCRIPT("gauge", lua_gauge),
    [TRAVEL_SCRIPT_OPEN]    = SCRIPT("open", lua_open),
    [TRAVEL_SCRIPT_CLOSE]   = SCRIPT("close", lua_close),
    [TRAVEL_SCRIPT_BEFORE]  = SCRIPT("before", lua_before),
    [TRAVEL_SCRIPT_WRITE]   = SCRIPT("write", lua_write)
};


travel_str_t
travel_worker_script(travel_script_e script)
{
    return worker_scripts[script].text;
}


const char *
travel_worker_script_name(travel_script_e script)
{
    return worker_scripts[script].name;
}

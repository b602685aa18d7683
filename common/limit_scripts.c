/* The limiter's scripts, see limit_scripts.h. */

#include "limit_scripts.h"

/* now: the clock of Redis, ms. */
#define LUA_NOW                                                               \
    "local t = redis.call('TIME')\n"                                          \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"

/*
 * load(key, a): {key, a, n, st, room, ttl} of what is counted at a key, less
 * what is taken back; 'a' are the arguments.  A window in st is {opened, sum,
 * at, n, at, n, ...}, a day {day, sum}.
 */
#define LUA_LOAD                                                              \
    "local function load(key, a)\n"                                           \
    "  local back, back_at = a[5], a[6]\n"                                    \
    "  local raw = redis.call('GET', key)\n"                                  \
    "  local st = raw and cmsgpack.unpack(raw) or {}\n"                       \
    "  local room, ttl, n = math.huge, 0, (#a - 6) / 3\n"                     \
    "  for i = 1, n do\n"                                                     \
    "    local quota, span = a[4 + 3 * i], a[5 + 3 * i]\n"                    \
    "    local grain = a[6 + 3 * i]\n"                                        \
    "    local w = st[i] or {0, 0}\n"                                         \
    "    if grain < 0 then\n"                                                 \
    "      if span > w[1] then w = {span, 0} end\n"                           \
    "      w[2] = math.max(0, w[2] - back)\n"                                 \
    "      ttl = math.max(ttl, 172800000)\n"                                  \
    "    else\n"                                                              \
    "      local v, rest, sum = {w[1]}, back, 0\n"                            \
    "      v[2] = 0\n"                                                        \
    "      for j = 3, #w, 2 do\n"                                             \
    "        if now - w[j] < span then\n"                                     \
    "          local k = w[j + 1]\n"                                          \
    "          if rest > 0 and w[j] >= back_at then\n"                        \
    "            local m = math.min(rest, k)\n"                               \
    "            rest = rest - m\n"                                           \
    "            k = k - m\n"                                                 \
    "          end\n"                                                         \
    "          if k > 0 then\n"                                               \
    "            v[#v + 1] = w[j]\n"                                          \
    "            v[#v + 1] = k\n"                                             \
    "            sum = sum + k\n"                                             \
    "          end\n"                                                         \
    "        end\n"                                                           \
    "      end\n"                                                             \
    "      v[2] = sum\n"                                                      \
    "      w = v\n"                                                           \
    "      ttl = math.max(ttl, span + a[4] + 1000)\n"                         \
    "    end\n"                                                               \
    "    st[i] = w\n"                                                         \
    "    room = math.min(room, quota - w[2] - a[1])\n"                        \
    "  end\n"                                                                 \
    "  return {key = key, a = a, n = n, st = st, room = room, ttl = ttl}\n"   \
    "end\n"

/* count(l, max): grants, 'max' at most, stores, and what is answered. */
#define LUA_COUNT                                                             \
    "local function count(l, max)\n"                                          \
    "  local a, st = l.a, l.st\n"                                             \
    "  local owed, min, ahead = a[1], a[2], a[4]\n"                           \
    "  local grant = math.max(0, math.min(max, l.room))\n"                    \
    "  if grant < min then grant = 0 end\n"                                   \
    "  local total, at = owed + grant, now + ahead\n"                         \
    "  local reply = {grant, at}\n"                                           \
    "  for i = 1, l.n do\n"                                                   \
    "    local quota, span = a[4 + 3 * i], a[5 + 3 * i]\n"                    \
    "    local grain = a[6 + 3 * i]\n"                                        \
    "    local w = st[i]\n"                                                   \
    "    if total > 0 then\n"                                                 \
    "      w[2] = w[2] + total\n"                                             \
    "      if grain >= 0 then\n"                                              \
    "        local last = #w - 1\n"                                           \
    "        if last > 1 and (w[last] >= at or at - w[1] < grain\n"           \
    "                         or last >= 49) then\n"                          \
    "          w[last] = math.max(w[last], at)\n"                             \
    "          w[last + 1] = w[last + 1] + total\n"                           \
    "        else\n"                                                          \
    "          w[1] = at\n"                                                   \
    "          w[#w + 1] = at\n"                                              \
    "          w[#w + 1] = total\n"                                           \
    "        end\n"                                                           \
    "      end\n"                                                             \
    "    end\n"                                                               \
    "    local more, wait, need = 0, 0, w[2] + min - quota\n"                 \
    "    if grain < 0 then\n"                                                 \
    "      more = w[2] > 0 and -grain or 0\n"                                 \
    "      if grant == 0 and need > 0 then\n"                                 \
    "        wait = -grain + (w[1] > span and 86400000 or 0)\n"               \
    "      end\n"                                                             \
    "    else\n"                                                              \
    "      local over, freed = math.max(1, w[2] - quota + 1), 0\n"            \
    "      for j = 3, #w, 2 do\n"                                             \
    "        freed = freed + w[j + 1]\n"                                      \
    "        if more == 0 and freed >= over then\n"                           \
    "          more = w[j] + span - now\n"                                    \
    "        end\n"                                                           \
    "        if wait == 0 and grant == 0 and need > 0 and freed >= need\n"    \
    "        then\n"                                                          \
    "          wait = w[j] + span - now\n"                                    \
    "        end\n"                                                           \
    "      end\n"                                                             \
    "      if grant == 0 and need > 0 and wait == 0 then wait = span end\n"   \
    "    end\n"                                                               \
    "    reply[#reply + 1] = w[2]\n"                                          \
    "    reply[#reply + 1] = more\n"                                          \
    "    reply[#reply + 1] = wait\n"                                          \
    "  end\n"                                                                 \
    "  redis.call('SET', l.key, cmsgpack.pack(st), 'PX', l.ttl)\n"            \
    "  return reply\n"                                                        \
    "end\n"


const char  travel_script_limit[] =
    LUA_NOW
    LUA_LOAD
    LUA_COUNT
    "local a = {}\n"
    "for i = 1, #ARGV do a[i] = tonumber(ARGV[i]) end\n"
    "return count(load(KEYS[1], a), a[3])\n";


const char  travel_script_limits[] =
    LUA_NOW
    LUA_LOAD
    LUA_COUNT
    "local all, refused, p = {}, false, 1\n"
    "for i = 1, #KEYS do\n"
    "  local a, binding, n = {}, ARGV[p] == '1', tonumber(ARGV[p + 1])\n"
    "  for j = 1, n do a[j] = tonumber(ARGV[p + 1 + j]) end\n"
    "  p = p + 2 + n\n"
    "  all[i] = load(KEYS[i], a)\n"
    "  refused = refused or (binding and all[i].room < a[2])\n"
    "end\n"
    "local out = {}\n"
    "for i = 1, #KEYS do\n"
    "  out[i] = count(all[i], refused and 0 or all[i].a[3])\n"
    "end\n"
    "return out\n";

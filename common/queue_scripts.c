/* The edge's Redis scripts as text; what they promise stands in the header. */

#include "queue_scripts.h"


/*
 * XADD comes first: should it fail, nothing else has been written.  unpack()
 * is bounded by the envelope's eleven fields and the hash's few.  A repeat
 * writes what is there once more: whoever waits until replicas have its write
 * (travel_redis acks=) then knows that they have the first one's, too.
 */

const char  travel_script_accept[] =
    "local seen = ARGV[1] ~= '' and redis.call('GET', KEYS[1])\n"
    "if seen then\n"
    "    local print, uuid = string.match(seen, '^(%S+) (%S+)$')\n"
    "    if print ~= ARGV[1] then\n"
    "        return {'mismatch'}\n"
    "    end\n"
    "    redis.call('SET', KEYS[1], seen, 'KEEPTTL')\n"
    "    local key = string.gsub(KEYS[2], '[^:]+$', '') .. uuid\n"
    "    local job = redis.call('HGETALL', key)\n"
    "    local status\n"
    "    for i = 1, #job, 2 do\n"
    "        if job[i] == 'status' then status = job[i + 1] end\n"
    "    end\n"
    "    if ARGV[3] == '1' and (status == 'queued' or status == 'running'\n"
    "                           or status == 'retrying') then\n"
    "        return {'running', uuid, job}\n"
    "    end\n"
    "    return {'replay', uuid, job}\n"
    "end\n"
    "local function note(uuid)\n"
    "    if ARGV[1] ~= '' then\n"
    "        redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. uuid,\n"
    "                   'PX', ARGV[2])\n"
    "    end\n"
    "end\n"
    "local first = KEYS[4] and redis.call('GET', KEYS[4])\n"
    "if first then\n"
    "    local key = string.gsub(KEYS[2], '[^:]+$', '') .. first\n"
    "    local status = redis.call('HGET', key, 'status')\n"
    "    if status and status ~= 'failed' and status ~= 'dead'\n"
    "        and status ~= 'cancelled' then\n"
    "        redis.call('SET', KEYS[4], first, 'KEEPTTL')\n"
    "        note(first)\n"
    "        return {'alike', first, redis.call('HGETALL', key)}\n"
    "    end\n"
    "end\n"
    "local last = 6 + tonumber(ARGV[6])\n"
    "local entry = redis.call('XADD', KEYS[3], '*',\n"
    "                         unpack(ARGV, last + 1))\n"
    "redis.call('HSET', KEYS[2], 'entry', entry, unpack(ARGV, 7, last))\n"
    "note(ARGV[4])\n"
    "if KEYS[4] then\n"
    "    redis.call('SET', KEYS[4], ARGV[4], 'PX', ARGV[5])\n"
    "end\n"
    "return {'new', ARGV[4], entry}\n";


const char  travel_script_cancel[] =
    "local was = redis.call('HMGET', KEYS[1], 'status', 'sub')\n"
    "if not was[1] or (ARGV[1] ~= '' and was[2] ~= ARGV[1]) then\n"
    "    return {'unknown'}\n"
    "end\n"
    "if was[1] == 'running' or was[1] == 'retrying' then\n"
    "    redis.call('HSET', KEYS[1], 'cancel', '1')\n"
    "    return {'told', redis.call('HGETALL', KEYS[1])}\n"
    "end\n"
    "if was[1] ~= 'queued' then\n"
    "    return {'refused', redis.call('HGETALL', KEYS[1])}\n"
    "end\n"
    "redis.call('HSET', KEYS[1], 'status', 'cancelled',\n"
    "           'updated_at', ARGV[2])\n"
    "return {'cancelled', redis.call('HGETALL', KEYS[1])}\n";


const char  travel_script_watch[] =
    "local was = redis.call('HGET', KEYS[1], ARGV[1]) or ''\n"
    "local words = ' ' .. was .. ' '\n"
    "if not string.find(words, ' ' .. ARGV[2] .. ' ', 1, true) then\n"
    "    if #was > 1024 or was == ''\n"
    "       and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then\n"
    "        return 0\n"
    "    end\n"
    "    redis.call('HSET', KEYS[1], ARGV[1], was .. ' ' .. ARGV[2])\n"
    "end\n"
    "redis.call('PEXPIRE', KEYS[1], 3600000)\n"
    "return 1\n";

/*
 * The script by which nodes share a limit: travel_window's algorithm (window.h)
 * in Lua, over one key of the cache role per (policy, key), by the clock of
 * Redis.
 */

#ifndef TRAVEL_LIMIT_SCRIPTS_H
#define TRAVEL_LIMIT_SCRIPTS_H

/*
 * KEYS: where it is counted.
 * ARGV: owed min max ahead back back_at, then per window quota span grain.
 *
 * What was counted as 'back' at 'back_at' is taken back; 'owed' counts whatever
 * room there is; then as many as there is room for, 'max' at most, and none if
 * that is fewer than 'min'.  They count as if used 'ahead' ms from now.  A
 * calendar day has its number as span and -ms left as grain.
 *
 * Answers {granted, at, then per window: sum, ms until there is more room, ms
 * until 'min' fit (0: they did)}; 'at' is for a later back_at.
 */
extern const char  travel_script_limit[];

/*
 * Several of them for one request, all or none.
 *
 * KEYS: where each is counted, no two the same.
 * ARGV: per key: 1 or 0 (does it bind? one that does not, for dry runs, refuses
 * nothing), the number of its arguments, these as above.
 *
 * Answers an array of answers as above; where one that binds refuses, nothing
 * is granted at any, and those with room for it have waits of 0.
 */
extern const char  travel_script_limits[];

#endif

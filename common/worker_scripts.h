/*
 * The Redis scripts of the workers (contracts section 3): what must happen to
 * a partition at once.  All keys of one call share one hash tag.
 *
 * Every script but FORGET, ENQUEUE, REQUEUE, AHEAD, SEATS, LIMIT, CALL_OFF,
 * BROWSE, NOW, PROGRESS, SUSPECT, GAUGE, OPEN, CLOSE, BEFORE and WRITE starts
 * with KEYS[1] = :owner, ARGV[1] = owner, ARGV[2] = fence, and answers an array
 * whose first element is a code below; with TRAVEL_SCRIPT_FENCED the owner and fence that Redis
 * knows follow, and nothing was done.  'owner' ends in "#" and a number that
 * the owner raises with each ADOPT.
 *
 * Streams are read by a plain XREAD, without a group: only the owner settles,
 * and what is settled is deleted, so a stream holds what is not settled, and
 * reading changes nothing.
 *
 * A partition may be closed (a repartitioning, common/layout.h): its streams
 * have another name then (TRAVEL_CLOSED behind it), and in their place is a
 * string, so that whoever would add something meets WRONGTYPE.
 *
 * A queue that is full of jobs is emptied by doing them.  So what starts, ends
 * and promotes them, and what must be known before they may end, is done when
 * Redis is at its maxmemory, too; what adds to a queue is told OOM.
 *
 * A job that waits in the delayed set has its entry in its hash (field
 * 'entry'): the flat field list, packed by MessagePack.
 */

#ifndef TRAVEL_WORKER_SCRIPTS_H
#define TRAVEL_WORKER_SCRIPTS_H

#include "travel.h"

#define TRAVEL_CLOSED          ":closed"

#define TRAVEL_SCRIPT_GOOD      0
#define TRAVEL_SCRIPT_FENCED  (-1)

#define TRAVEL_SUSPECT_BIT     1000000   /* see START */
#define TRAVEL_AGAIN_BIT       2000000
#define TRAVEL_CALLED_OFF_BIT  4000000
#define TRAVEL_START_CANCELLED (-1)
#define TRAVEL_START_OVER      (-2)

#define TRAVEL_SETTLE_HEAD     4         /* characters per job */
#define TRAVEL_DEAD_MAX        "10000"

typedef enum {
    /*
     * ADOPT  KEYS owner high normal low  ARGV owner fence
     * Raises the fence (never lowers it).  The keys are those of an open one.
     * → code, per stream: the id it gave last, that of its first entry or "";
     *   "1" when it is closed, else ""; the range (common/layout.h) that it
     *   took the place of, or ""
     */
    TRAVEL_SCRIPT_ADOPT,

    /*
     * DELAYED  KEYS owner delayed  ARGV owner fence offset count all
     * Those that somebody has in hand (score 0); when 'all' is 1, also those
     * that have begun and wait for their retry.
     * → code, 1 when there are no more behind these, uuid, score, status,
     *   pack ...
     */
    TRAVEL_SCRIPT_DELAYED,

    /*
     * START  KEYS owner high normal low delayed
     *        ARGV owner fence now uuids ids streams
     * 'uuids': those of the jobs, one after the other; 'ids': those of their
     * entries, a space behind each, "-" for one of the delayed set; 'streams':
     * a character for each job, '1' to '3', '0' for the delayed set.
     * queued, retrying, running → running.  A job that is over is taken off
     * its stream.  Who watches (queue_scripts.h) is told.
     * → code, per job: attempts so far (+ TRAVEL_SUSPECT_BIT when it was in
     *   the slot that crashed, + TRAVEL_AGAIN_BIT when it was running already,
     *   + TRAVEL_CALLED_OFF_BIT after CALL_OFF),
     *   TRAVEL_START_CANCELLED or _OVER
     */
    TRAVEL_SCRIPT_START,

    /*
     * SETTLE  KEYS owner high normal low delayed dead
     *         ARGV owner fence now uuids ids check heads, per stream:
     *           oldest next, then per job: [field value ...]
     *           [reply status [result]] [extra ...]
     * 'uuids' and 'ids' as above, 36 of any characters for one that names no
     * job.  'heads' has four characters for each job:
     *   its stream, '1' to '3', '0' for the delayed set;
     *   what became of it, and the extras that go with that:
     *     'S'  succeeded at the first attempt, nothing else to say
     *     'E'  an end; what it says is in the fields
     *     'H'  succeeded after other attempts, whose traces go
     *     'R'  retrying: due error pack; goes to :delayed, due then
     *     'D'  dead: cause attempts error trace pack; goes to :dead, too
     *     'B'  an entry that names no job: as 'D', and nothing else is written
     *   how many fields and values, '0' and up;
     *   'w' when somebody waits, '-' when nobody does, 'o' when somebody
     *   waits for a result that is told once: it follows 'status'.
     * 'oldest': the entry that is the stream's oldest, if this batch settles
     * it, else ""; all before 'next' are settled or in this batch.
     * Ends are published to 'reply' and noted for FORGET; who watches is told
     * of all.
     * check "1": a final status is looked for and never overwritten; needed
     * where the batch may have been settled before, or holds a job that START
     * was not asked about.
     * → code, per job: 1 written, 0 it was over already
     */
    TRAVEL_SCRIPT_SETTLE,

    /*
     * PROMOTE  KEYS owner delayed  ARGV owner fence now limit paused-type ...
     * What is due goes into the owner's hand (score 0, so that it is neither
     * promoted twice nor lost with its owner).  What is of a paused type is put
     * off: by a second, or for so long that looking at them all costs little.
     * → code, when the next one is due ("" none), uuid, status, pack ...
     */
    TRAVEL_SCRIPT_PROMOTE,

    /*
     * FORGET  KEYS owner ended  ARGV ttl
     * The hashes of one batch of jobs that were over ttl seconds ago or more:
     * they go, and with a dead one who watched it.  START, SETTLE and PROMOTE
     * put the uuids of what is over into the stream :ended, an entry for a
     * batch.  Those of a closed partition, which nobody may own for so long,
     * are left to expire instead.
     * → 1 there may be more of them, 0 there was none
     */
    TRAVEL_SCRIPT_FORGET,

    /*
     * ENQUEUE  KEYS job stream delayed [unique]
     *          ARGV not-before now uuid queue [window quiet] field value ...
     * Once per job id; with 'unique', once in so many ms for all that share
     * that key.  With 'quiet' not 0 one of them that still waits for its time
     * takes the new one's body and time instead, but waits no longer than
     * 'window' from when it came; the new one is over at once (MERGED).
     * → 1 enqueued, 0 was there, -1 the partition is closed
     */
    TRAVEL_SCRIPT_ENQUEUE,

    /*
     * REQUEUE  KEYS job stream delayed
     *          ARGV not-before now uuid queue token field value ...
     * A dead job is queued again under its id, as if it had never run.  Once
     * per token; one that is not dead, and not forgotten, is left alone.  Who
     * watches is told.
     * → 1 queued, 0 was not, -1 the partition is closed
     */
    TRAVEL_SCRIPT_REQUEUE,

    /*
     * AHEAD  KEYS stream  ARGV after count max sub ...
     * Goes through 'count' entries behind 'after', or until 'max' were found
     * that are none of these callers'.
     * → how many were gone through, the id of the last, the keys of those
     *   passed over (12 characters of each, in one string), [id, fields] ...
     */
    TRAVEL_SCRIPT_AHEAD,

    /*
     * SEATS  KEYS travel:workers  ARGV seat, ms that a seat lasts
     * Takes the seat, or keeps it.
     * → all that are taken
     */
    TRAVEL_SCRIPT_SEATS,

    /*
     * LIMIT  KEYS travel:limit:<type>  ARGV owner limit running want
     * How many of a type's jobs may run at once at this owner for the next
     * moments: no more than it wants, its fair part when all want more than
     * there are.  Who has had some for half a second while others have none
     * gives way, and those are served in the order in which they came.  What
     * runs counts, granted or not; an owner that is silent for 5 s does not.
     * → grant, what all want together
     */
    TRAVEL_SCRIPT_LIMIT,

    /*
     * CALL_OFF  KEYS job  ARGV now
     * An operator does not want it any more.  One that has not begun is
     * cancelled; one that has, or waits for a retry, is told so (field
     * 'cancel'): it ends when its handler says, or is given up.
     * → "cancelled", "told", the status of one that is over, "" no such job
     */
    TRAVEL_SCRIPT_CALL_OFF,

    /*
     * BROWSE  KEYS stream|delayed  ARGV after count
     * What is there, for operators: of a stream from behind the id 'after', of
     * the delayed set from the place 'after' on.  Changes nothing.
     * → where to go on ("": that was all), per job: uuid, stream id or due
     *   time, status attempts updated_at error cancel (hash),
     *   type sub key ts tp deadline sealed claim body (envelope)
     */
    TRAVEL_SCRIPT_BROWSE,

    /*
     * NOW  KEYS delayed  ARGV uuid now
     * What waits for its time or its retry is due.  → 1 it is, 0 it waits not
     */
    TRAVEL_SCRIPT_NOW,

    /* PROGRESS  KEYS job  ARGV percent: noted, and told to who watches. */
    TRAVEL_SCRIPT_PROGRESS,

    /* SUSPECT  KEYS job: its slot crashed.  → 1 counted, 0 not running */
    TRAVEL_SCRIPT_SUSPECT,

    /* GAUGE  KEYS high normal low delayed dead
     * → XLEN x 3, ZCARD, XLEN dead, oldest id of the three or "" */
    TRAVEL_SCRIPT_GAUGE,

    /*
     * OPEN  KEYS owner high normal low delayed  ARGV range
     * A new partition, or one that was closed and has nothing left, is to be
     * used for what 'range' was used for.  Its owner must adopt it again.
     * → 1 it may be, 0 there is something left
     */
    TRAVEL_SCRIPT_OPEN,

    /*
     * CLOSE  KEYS owner high normal low
     * Nothing is added to it from now on; what is in it stays its owner's, who
     * must adopt it again.  → 1 closed, 0 it was
     */
    TRAVEL_SCRIPT_CLOSE,

    /*
     * BEFORE  KEYS owner high normal low delayed  ARGV max
     * What is queued, runs or waits for a retry in a closed partition; not what
     * waits for a time of its own.
     * → how many, -1 it is not closed (yet); their ordering keys, unless
     *   there are more than max
     */
    TRAVEL_SCRIPT_BEFORE,

    /* WRITE  KEYS key  ARGV command argument ...
     * One command on one key, at maxmemory, too.  → its reply */
    TRAVEL_SCRIPT_WRITE,

    TRAVEL_SCRIPT_MAX
} travel_script_e;

travel_str_t travel_worker_script(travel_script_e script);
const char *travel_worker_script_name(travel_script_e script);

#endif

/*
 * The Redis scripts of the edge: accept a command under an Idempotency-Key,
 * call one off, and watch one (contracts section 3).  The scripts of the
 * workers (start, settle, retry, ...) live with their queue client.
 *
 * All keys of a call share the hash tag {<queue>.<partition>}.  The scripts
 * use only what the edge's Redis login may: HSET, HMGET, HGETALL of job
 * hashes, GET and SET of idempotency keys, XADD, the table of watchers.
 *
 * Fields of a job hash: status type queue sub key route resource created_at
 * updated_at attempts progress result error lsn timeline inval entry cancel.
 */

#ifndef TRAVEL_QUEUE_SCRIPTS_H
#define TRAVEL_QUEUE_SCRIPTS_H

/*
 * Accept.
 *   KEYS  1 idempotency key   2 job hash   3 stream
 *         4 a command that is to be unique: the key of those that are alike
 *   ARGV  1 fingerprint of the request, without spaces; "": there is no
 *           idempotency key, and KEYS 1 is any other of the partition
 *         2 how long the Idempotency-Key is remembered, ms
 *         3 "1": an unfinished first attempt is an answer of its own
 *         4 the job's uuid
 *         5 how long it is to be the only one, ms; without KEYS 4 anything
 *         6 n, the number of arguments that describe the job hash
 *         7 .. 6 + n      its names and values, "status","queued" among them
 *         7 + n ..        the envelope's names and values
 *   reply "new", uuid, id of the stream entry
 *         "replay", uuid, names and values of the first attempt's job hash
 *         "running", uuid, the same: not finished, and ARGV 3 asked
 *         "alike", uuid, the same: of the one that is like it, and has not
 *                     ended as failed, dead or cancelled
 *         "mismatch": the key was used for another request; nothing is told
 *                     about that one
 *
 * One entry is added for the first call and none for any other, whatever
 * became of the replies.  The hash of a replay may be empty (it was kept for
 * less long than the key); the uuid still names the resource.  The entry's id
 * is noted in the hash as "entry".
 */
extern const char  travel_script_accept[];

/*
 * Cancel: compare-and-set queued -> cancelled, the rival of start; one that has
 * begun, or waits for a retry, is told so (field "cancel"), as CALL_OFF of the
 * workers does it: it ends when its handler says, or is given up.
 *   KEYS  1 job hash
 *   ARGV  1 the caller's id, as in the hash's "sub"; "" for an operator
 *         2 updated_at
 *   reply "cancelled", names and values of the job hash after it
 *         "told", names and values: it has begun
 *         "refused", names and values: it has ended
 *         "unknown": no such job, or somebody else's
 *
 * The message stays in its stream: only its partition's owner may take one
 * out.  When the owner comes to it, start refuses, and the owner acks and
 * deletes it and has the hash forgotten as that of every ended job.  Until
 * then the hash must stay, for it is all that says "do not run".
 */
extern const char  travel_script_cancel[];

/*
 * Watch: whoever changes the job's status or progress tells the channel so.
 *   KEYS  1 the partition's table of watchers: uuid -> channels, with spaces
 *   ARGV  1 the job's uuid   2 channel   3 jobs that a table may hold
 *   reply 1, or 0: the table is full
 *
 * What is told is a hint, {"id":"<job id>"}: look again.  A job's row goes with
 * its end, a dead one's with its hash (it may be requeued), the table an hour
 * after somebody last watched.
 */
extern const char  travel_script_watch[];

#endif

/*
 * The queue protocol of one partition, for spin.
 *
 * Two jobs of one key, two worker processes that may both believe to own the
 * partition, Redis and PostgreSQL.  At every step a process may crash, lose its
 * lease without knowing, or lose its connection: calls that Redis has not seen
 * by then may still be carried out at any later time.
 *
 * What is modelled is workers/queue (read.c, take.c, give.c, settle.c, pause.c)
 * and common/worker_scripts.c; a name here is a name there.  Calls and answers are
 * messages, so whatever may come between a call and its answer does.
 *
 * Checked:
 *   - no double effect, and none out of order: once the second job has had its
 *     effect, the first never has one (asserted where effects are made);
 *   - no job is twice in the memory of a process (asserted);
 *   - a final status is never overwritten (asserted where it is written);
 *   - nothing is lost and no key is stuck: when nothing can move any more,
 *     both jobs are over, nothing is in the stream or the delayed set, and the
 *     owner holds no key (asserted at the end, see 'watch' below).
 *
 * Each of these brings back a mistake, which must be found:
 *   -DEARLY    a failed job frees its key before that is written
 *   -DDOUBT    retries are promoted while a settle call is in doubt
 *   -DCLOCK    an overdue retry loses its key by the clock alone
 *   -DNOTURN   a new connection adopts under the same name as the old one
 *   -DNOFENCE  scripts do not look at the fence
 *   -DSTALE    what was read before a pause counts after it (with PAUSES)
 *   -DANEW     what has been started is not known when it is read again (too)
 */

#ifndef TAKEOVERS
#define TAKEOVERS  2            /* leases given out, crashes included */
#endif
#ifndef LOSSES
#define LOSSES     1            /* connections lost */
#endif
#ifndef RETRIES
#define RETRIES    1            /* attempts that may end in a retry */
#endif

#ifndef PAUSES
#define PAUSES     0            /* times that the queue is paused */
#endif

#define NONE  2                 /* no job */

/* status of a job's hash */
#define ABSENT     0
#define QUEUED     1
#define RUNNING    2
#define RETRYING   3
#define SUCCEEDED  4            /* from here on: final */
#define FAILED     5
#define CANCELLED  6
#define FINAL(s)   ((s) >= SUCCEEDED)

/* where it is in Redis */
#define NOWHERE    0
#define STREAM     1
#define DELAYED    2
#define HAND       3            /* delayed, score 0 */

/* where it is in a process */
#define ABROAD     0
#define LINE       1            /* behind its key */
#define READY      2
#define STARTING   3
#define HANDED     4
#define SETTLE     5            /* in part->settle */
#define LEAVING    6            /* in the settle call */

/* a partition in a process */
#define FREE       0
#define ADOPT      1            /* the script comes next */
#define WALK       2            /* the delayed set comes next */
#define OPEN       3

/* calls */
#define C_ADOPT    0
#define C_WALK     1
#define C_READ     2
#define C_START    3
#define C_SETTLE   4
#define C_PROMOTE  5
#define C_SCORE    6

/* answers */
#define DONE       0
#define REFUSED    1

byte status[2];                 /* Redis */
byte place[2];
byte r_fence, r_owner, r_turn;
bool accepted[2];

byte p_fence, p_owner = NONE;   /* PostgreSQL: the lease, the inbox */
bool effect[2];

byte takeovers = TAKEOVERS, losses = LOSSES, retries = RETRIES;

byte fence[2], turn[2], state[2];
bool first[2], resync[2], doubtful[2];
bool paused[2], stale[2];       /* what was asked by then is not what is read */
byte pauses = PAUSES;
bool adopting[2], reading[2], starting[2], settling[2], promoting[2], asking[2];
byte mem[4], outcome[4];        /* [2 * process + job] */
bool hand[4], resent[4];        /* came from the delayed set; in doubt */
byte last[2];                   /* how many entries were read */
byte busy[2] = NONE, held[2] = NONE;
byte order[4] = NONE;           /* part->settle: two places per process */

/* op, job, fence, turn, extra */
chan calls[2] = [4] of { byte, byte, byte, byte, byte };
chan late[2]  = [4] of { byte, byte, byte, byte, byte };
/* op, code, values */
chan answers[2] = [4] of { byte, byte, byte, byte };

#define M(j)  (2 * me + (j))


/* --- Redis ---------------------------------------------------------------- */

#ifdef NOFENCE
#define OURS  true
#else
#define OURS  (r_owner == me && r_fence == f && r_turn == t)
#endif

inline redis_settle(j, how, back)
{
    /* how: outcome, + 8 when a final status is looked for */
    back = 1;
    if
    :: FINAL(status[j]) && how >= 8 -> back = 0
    :: else ->
        assert(!FINAL(status[j]));
        status[j] = how % 8;
        if
        :: status[j] == RETRYING -> place[j] = DELAYED
        :: else -> skip
        fi
    fi;
    if
    :: place[j] == STREAM -> place[j] = NOWHERE
    :: place[j] == HAND -> place[j] = NOWHERE
    :: place[j] == DELAYED && status[j] != RETRYING -> place[j] = NOWHERE
    :: else -> skip
    fi
}

/* One call, carried out at once; 'a' and 'b' are its answer. */
inline redis_call(me, op, j, f, t, x, code, a, b)
{
    code = DONE; a = 0; b = 0;
    if
    :: op == C_ADOPT ->
        if
        :: r_fence > f || (r_fence == f && (r_owner != me || r_turn > t)) ->
            code = REFUSED
        :: else -> r_fence = f; r_owner = me; r_turn = t
        fi
    :: op == C_READ ->              /* x: entries read so far */
        if
        :: x == 0 && place[0] == STREAM -> a = 1
        :: else -> skip
        fi;
        if
        :: x <= 1 && place[1] == STREAM -> b = 1
        :: else -> skip
        fi;
        /* an entry that is gone was settled by somebody else */
    :: op == C_SCORE -> a = place[j]
    :: else ->
        if
        :: !OURS -> code = REFUSED
        :: OURS && op == C_WALK ->
            a = place[0]; b = place[1]
        :: OURS && op == C_START ->
            if
            :: FINAL(status[j]) -> a = 1; place[j] = NOWHERE
            :: else -> status[j] = RUNNING
            fi
        :: OURS && op == C_SETTLE -> redis_settle(j, x, a)
        :: OURS && op == C_PROMOTE ->
            if
            :: place[0] == DELAYED ->
                if
                :: FINAL(status[0]) -> place[0] = NOWHERE; a = 2
                :: else -> place[0] = HAND; a = 1
                fi
            :: else -> skip
            fi;
            if
            :: place[1] == DELAYED ->
                if
                :: FINAL(status[1]) -> place[1] = NOWHERE; b = 2
                :: else -> place[1] = HAND; b = 1
                fi
            :: else -> skip
            fi
        fi
    fi
}

active proctype redis()
{
    byte op, j, f, t, x, code, a, b;

end:
    do
    :: d_step { calls[0]?op, j, f, t, x ->
                redis_call(0, op, j, f, t, x, code, a, b);
                answers[0]!op, code, a, b }
    :: d_step { calls[1]?op, j, f, t, x ->
                redis_call(1, op, j, f, t, x, code, a, b);
                answers[1]!op, code, a, b }
    :: d_step { late[0]?op, j, f, t, x ->
                redis_call(0, op, j, f, t, x, code, a, b);
                op = 0; j = 0; f = 0; t = 0; x = 0; code = 0; a = 0; b = 0 }
    :: d_step { late[1]?op, j, f, t, x ->
                redis_call(1, op, j, f, t, x, code, a, b);
                op = 0; j = 0; f = 0; t = 0; x = 0; code = 0; a = 0; b = 0 }
    od
}


/* --- the edge ------------------------------------------------------------- */

active proctype edge()
{
    d_step { status[0] = QUEUED; place[0] = STREAM; accepted[0] = true };
    d_step { status[1] = QUEUED; place[1] = STREAM; accepted[1] = true };
    if
    :: d_step { status[0] == QUEUED -> status[0] = CANCELLED }
    :: true -> skip
    fi
}


/* --- a worker process ----------------------------------------------------- */

#define LOST  { fence[me] = 0; forget() }

inline forget()
{
    state[me] = FREE; resync[me] = false; doubtful[me] = false;
    mem[M(0)] = ABROAD; mem[M(1)] = ABROAD;
    outcome[M(0)] = 0; outcome[M(1)] = 0;
    hand[M(0)] = false; hand[M(1)] = false;
    resent[M(0)] = false; resent[M(1)] = false;
    order[M(0)] = NONE; order[M(1)] = NONE;
    busy[me] = NONE; held[me] = NONE; last[me] = 0; stale[me] = reading[me]
}

/* worker_part_rewind: what waits and stands in the stream is forgotten, unless
 * one of the line came from the delayed set; all is read again. */
inline rewind()
{
    if
    :: (mem[M(0)] == LINE && hand[M(0)]) || (mem[M(1)] == LINE && hand[M(1)]) ->
        skip
    :: else ->
        if
        :: mem[M(0)] == LINE -> mem[M(0)] = ABROAD
        :: mem[M(0)] == READY && !hand[M(0)] ->
            mem[M(0)] = ABROAD; busy[me] = NONE
        :: else -> skip
        fi;
        if
        :: mem[M(1)] == LINE && (busy[me] != 0 || !hand[M(0)] ||
                                 mem[M(0)] != READY) -> mem[M(1)] = ABROAD
        :: mem[M(1)] == READY && !hand[M(1)] ->
            mem[M(1)] = ABROAD; busy[me] = NONE
        :: else -> skip
        fi
    fi;
    last[me] = 0;
#ifndef STALE
    stale[me] = reading[me]
#endif
}

/* Its answers never come; its calls may still be carried out. */
inline cut()
{
    do
    :: len(answers[me]) > 0 -> answers[me]?_, _, _, _
    :: len(answers[me]) == 0 -> break
    od;
    do
    :: len(calls[me]) > 0 ->
        calls[me]?o1, o2, o3, o4, o5;
        if
        :: len(late[me]) < 4 -> late[me]!o1, o2, o3, o4, o5
        :: len(late[me]) == 4 -> skip
        fi
    :: len(calls[me]) == 0 -> break
    od;
    o1 = 0; o2 = 0; o3 = 0; o4 = 0; o5 = 0
}

inline key_next()
{
    if
    :: busy[me] == NONE && held[me] == NONE ->
        if
        :: mem[M(0)] == LINE -> busy[me] = 0; mem[M(0)] = READY
        :: mem[M(0)] != LINE && mem[M(1)] == LINE ->
            busy[me] = 1; mem[M(1)] = READY
        :: else -> skip
        fi
    :: else -> skip
    fi
}

inline release(j)
{
    if
    :: busy[me] == j -> busy[me] = NONE; key_next()
    :: else -> skip
    fi
}

/* worker_part_add and worker_part_return: a retry comes to the front, which
 * with two jobs is where key_next looks first, or it holds the key. */
inline bring(j, from_hand)
{
    assert(mem[M(j)] == ABROAD);
    hand[M(j)] = from_hand;
    if
    :: held[me] == j -> held[me] = NONE
    :: else -> skip
    fi;
    if
    :: busy[me] == NONE && held[me] == NONE -> busy[me] = j; mem[M(j)] = READY
    :: else -> mem[M(j)] = LINE
    fi
}

inline unhold(j)
{
    if
    :: held[me] == j -> held[me] = NONE; key_next()
    :: else -> skip
    fi
}

inline settle_push(j)
{
    mem[M(j)] = SETTLE;
    if
    :: order[M(0)] == NONE -> order[M(0)] = j
    :: else -> order[M(1)] = j
    fi
}

/* The job's attempt is over: 'how' it ended. */
inline finish(j, how)
{
    outcome[M(j)] = how;
    settle_push(j);
    if
    :: how == SUCCEEDED -> release(j)
#ifdef EARLY
    :: how == FAILED -> release(j)
    :: how == RETRYING -> skip
#else
    :: else -> skip
#endif
    fi
}

/* A transaction: the fence is checked with it, the inbox makes it once. */
inline attempt(j)
{
    if
    :: p_fence != fence[me] -> LOST
    :: p_fence == fence[me] ->
        if
        :: j == 0 -> assert(effect[0] || !effect[1])
        :: else -> skip
        fi;
        effect[j] = true;
        finish(j, SUCCEEDED)
    fi
}

/* settle_one, for what is leaving */
inline settled(j, written)
{
    if
    :: outcome[M(j)] == RETRYING && written == 1 ->
        if
        :: busy[me] == j -> busy[me] = NONE; held[me] = j
        :: else -> skip
        fi
    :: else -> release(j)
    fi;
    mem[M(j)] = ABROAD; outcome[M(j)] = 0; hand[M(j)] = false;
    resent[M(j)] = false
}

/* The answer to the settle call is lost: all is settled again. */
inline settle_again()
{
    doubtful[me] = true; resync[me] = true;
    if
    :: mem[M(0)] == LEAVING ->
        order[M(1)] = order[M(0)]; order[M(0)] = 0; mem[M(0)] = SETTLE
    :: mem[M(1)] == LEAVING ->
        order[M(1)] = order[M(0)]; order[M(0)] = 1; mem[M(1)] = SETTLE
    :: else -> skip
    fi;
    if
    :: mem[M(0)] == SETTLE -> resent[M(0)] = true
    :: else -> skip
    fi;
    if
    :: mem[M(1)] == SETTLE -> resent[M(1)] = true
    :: else -> skip
    fi
}

inline start_again()
{
    resync[me] = true;
    if
    :: mem[M(0)] == STARTING -> mem[M(0)] = READY
    :: mem[M(1)] == STARTING -> mem[M(1)] = READY
    :: else -> skip
    fi
}

/* The connection broke: every open call is answered with NULL. */
inline link_down()
{
    if
    :: settling[me] -> settle_again()
    :: else -> skip
    fi;
    if
    :: starting[me] -> start_again()
    :: else -> skip
    fi;
    resync[me] = true;
    adopting[me] = false; reading[me] = false; starting[me] = false;
    settling[me] = false; promoting[me] = false; asking[me] = false;
    if
    :: first[me] && state[me] != OPEN -> forget(); state[me] = ADOPT
    :: else -> skip
    fi
}

/* A script was refused: somebody else owns the partition, or (earlier turn)
 * it is to be adopted again. */
inline refused()
{
    if
    :: r_owner == me && r_fence == fence[me] -> resync[me] = true
    :: else -> LOST
    fi
}

inline walk(j, where)
{
    if
    :: where == HAND && !(mem[M(j)] != ABROAD && hand[M(j)]) &&
       mem[M(j)] != SETTLE -> bring(j, true)
    :: where == DELAYED && first[me] && busy[me] == NONE -> held[me] = j
    :: else -> skip
    fi
}

inline promoted(j, what)
{
    if
    :: what == 1 -> bring(j, true)
    :: what == 2 -> unhold(j)
    :: else -> skip
    fi
}

/* worker_ahead_known: an entry that was read before the streams were read from
 * their start again */
#ifdef ANEW
#define UNKNOWN(j)  true
#else
#define UNKNOWN(j)  (mem[M(j)] == ABROAD)
#endif

inline answer(op, code, a, b)
{
    if
    :: op == C_ADOPT ->
        adopting[me] = false;
        if
        :: code == REFUSED -> LOST
        :: else -> state[me] = WALK
        fi
    :: op == C_WALK ->
        adopting[me] = false;
        if
        :: code == REFUSED -> refused()
        :: else ->
            walk(0, a); walk(1, b);
            state[me] = OPEN; first[me] = false
        fi
    :: op == C_READ ->
        reading[me] = false;
        if
        :: state[me] == OPEN && !resync[me] && !stale[me] ->
            if
            :: a == 1 && UNKNOWN(0) -> bring(0, false)
            :: else -> skip
            fi;
            if
            :: b == 1 && UNKNOWN(1) -> bring(1, false)
            :: else -> skip
            fi;
            if
            :: b == 1 -> last[me] = 2
            :: b != 1 && a == 1 -> last[me] = 1
            :: else -> skip
            fi
        :: else -> skip
        fi;
        stale[me] = false
    :: op == C_START ->
        starting[me] = false;
        if
        :: code == REFUSED -> start_again(); refused()
        :: code == DONE && mem[M(0)] == STARTING ->
            if
            :: a == 1 -> mem[M(0)] = ABROAD; release(0)
            :: else -> mem[M(0)] = HANDED
            fi
        :: code == DONE && mem[M(1)] == STARTING ->
            if
            :: a == 1 -> mem[M(1)] = ABROAD; release(1)
            :: else -> mem[M(1)] = HANDED
            fi
        :: else -> skip
        fi
    :: op == C_SETTLE ->
        settling[me] = false;
        if
        :: code == REFUSED -> settle_again(); refused()
        :: code == DONE && mem[M(0)] == LEAVING -> settled(0, a)
        :: code == DONE && mem[M(1)] == LEAVING -> settled(1, a)
        :: else -> skip
        fi;
        if
        :: !resync[me] ->
            doubtful[me] = (order[M(0)] != NONE && resent[M(order[M(0)])])
        :: else -> skip
        fi
    :: op == C_PROMOTE ->
        promoting[me] = false;
        if
        :: code == REFUSED -> refused()
        :: else -> promoted(0, a); promoted(1, b)
        fi
    :: op == C_SCORE ->
        asking[me] = false;
        if
        :: held[me] != NONE && a == NOWHERE -> unhold(held[me])
        :: held[me] != NONE && a == HAND && mem[M(held[me])] == ABROAD ->
            resync[me] = true
        :: else -> skip
        fi
    fi
}

#ifdef NOTURN
#define NEXT_TURN  skip
#else
#define NEXT_TURN  turn[me]++
#endif

#define QUIET   (!adopting[me] && !starting[me] && !settling[me] \
                 && !promoting[me])
#define SENDS   (fence[me] != 0 && len(calls[me]) < 4)
#ifdef DOUBT
#define CERTAIN true
#else
#define CERTAIN (!doubtful[me])
#endif

active [2] proctype worker()
{
    byte me = _pid - 2, op, code, a, b, j, o1, o2, o3, o4, o5;

end:
    do
    /* A lease: somebody had none, or it lapsed, or the process crashed. */
    :: d_step { takeovers > 0 && (fence[me] == 0 || p_owner == me) ->
                takeovers--; cut(); forget();
                adopting[me] = false; reading[me] = false;
                starting[me] = false; settling[me] = false;
                promoting[me] = false; asking[me] = false;
                p_fence++; p_owner = me; fence[me] = p_fence; turn[me] = 0;
                first[me] = true; state[me] = ADOPT }

    /* The connection is lost; what was sent may be carried out later. */
    :: d_step { losses > 0 && fence[me] != 0 &&
                (len(calls[me]) > 0 || len(answers[me]) > 0) ->
                losses--; cut(); link_down() }

    :: d_step { answers[me]?op, code, a, b ->
                if
                :: fence[me] != 0 -> answer(op, code, a, b)
                :: else -> skip
                fi;
                op = 0; code = 0; a = 0; b = 0 }

    /* take.c */
    :: d_step { fence[me] != 0 && state[me] == OPEN && resync[me] && QUIET ->
                resync[me] = false; state[me] = ADOPT; NEXT_TURN }
    :: d_step { SENDS && state[me] == ADOPT && !adopting[me] && !resync[me] ->
                adopting[me] = true;
                calls[me]!C_ADOPT, 0, fence[me], turn[me], 0 }
    :: d_step { fence[me] != 0 && (state[me] == ADOPT || state[me] == WALK) &&
                resync[me] && QUIET ->
                resync[me] = false; state[me] = ADOPT; NEXT_TURN }
    :: d_step { SENDS && state[me] == WALK && !adopting[me] && !resync[me] ->
                adopting[me] = true;
                calls[me]!C_WALK, 0, fence[me], turn[me], 0 }
    :: d_step { SENDS && state[me] == OPEN && !resync[me] && !promoting[me] &&
                CERTAIN && !paused[me] && (place[0] == DELAYED || place[1] == DELAYED) ->
                promoting[me] = true;
                calls[me]!C_PROMOTE, 0, fence[me], turn[me], 0 }

    /* pause.c */
    :: d_step { pauses > 0 && fence[me] != 0 && !paused[me] ->
                pauses--; paused[me] = true; rewind() }
    :: d_step { paused[me] -> paused[me] = false; rewind() }

    /* read.c; that there is something to read is the bell's word */
    :: d_step { SENDS && state[me] == OPEN && !resync[me] && !reading[me] &&
                !paused[me] && ((last[me] == 0 && place[0] == STREAM) ||
                    (last[me] <= 1 && place[1] == STREAM)) ->
                reading[me] = true;
                calls[me]!C_READ, 0, fence[me], turn[me], last[me] }

    /* give.c */
    :: d_step { SENDS && state[me] == OPEN && !resync[me] && !starting[me] &&
                !paused[me] && (mem[M(0)] == READY || mem[M(1)] == READY) ->
                j = (mem[M(0)] == READY -> 0 : 1);
                mem[M(j)] = STARTING; starting[me] = true;
                calls[me]!C_START, j, fence[me], turn[me], 0; j = 0 }
    :: d_step { fence[me] != 0 && mem[M(0)] == HANDED -> attempt(0) }
    :: d_step { fence[me] != 0 && mem[M(1)] == HANDED -> attempt(1) }
    :: d_step { fence[me] != 0 && mem[M(0)] == HANDED && !effect[0] ->
                finish(0, FAILED) }
    :: d_step { fence[me] != 0 && mem[M(0)] == HANDED && !effect[0] &&
                retries > 0 ->
                retries--; finish(0, RETRYING) }

    /* settle.c */
    :: d_step { SENDS && state[me] == OPEN && !resync[me] && !settling[me] &&
                order[M(0)] != NONE ->
                j = order[M(0)]; order[M(0)] = order[M(1)];
                order[M(1)] = NONE;
                mem[M(j)] = LEAVING; settling[me] = true;
                calls[me]!C_SETTLE, j, fence[me], turn[me],
                          outcome[M(j)] + (resent[M(j)] -> 8 : 0);
                j = 0 }

    /* watch.c */
#ifdef CLOCK
    :: d_step { fence[me] != 0 && state[me] == OPEN && held[me] != NONE ->
                unhold(held[me]) }
#else
    :: d_step { SENDS && state[me] == OPEN && !resync[me] && held[me] != NONE &&
                !asking[me] && place[held[me]] != DELAYED ->
                asking[me] = true;
                calls[me]!C_SCORE, held[me], fence[me], turn[me], 0 }
#endif
    od
}


/* --- the end -------------------------------------------------------------- */

/* Nothing can move any more: then all is done. */
active proctype watch()
{
    timeout;
    assert(p_owner == NONE ||
           (FINAL(status[0]) && FINAL(status[1]) &&
               place[0] == NOWHERE && place[1] == NOWHERE &&
               (fence[p_owner] != p_fence ||
                   (busy[p_owner] == NONE && held[p_owner] == NONE))))
}

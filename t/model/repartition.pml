/*
 * A repartitioning (workers/ctl/repartition.c), for spin: what it adds to the
 * queue protocol of one partition, which is in queue.pml.
 *
 * Two jobs of one key: the second is sent once the first was accepted, by any of
 * two nginx workers, each with the layout it knows.  The key has its place in
 * one partition before and in another after.  travelctl opens the new one, closes
 * the old one and tells the layout, and may die in between and be run again.
 * Each partition has an owner, which may lose all it knows at any time; the new
 * one may have been owned all along (numbers come round again).
 *
 * Closing is one script, and raises the owner's turn: what the owner has sent by
 * then is refused and it adopts again, which queue.pml covers (a connection lost,
 * another turn).  So an owner is modelled by its steps, not by its calls.
 *
 * Checked: no job has its effect before one that came first (asserted), none has
 * two, and when nothing can move any more both are over.
 *
 * Each of these brings back a mistake, which must be found:
 *   -DOPENLY    the layout is told and the old one is not closed
 *   -DUNHELD    the new owner does not ask what the old one has left
 *   -DUNCLOSED  it takes the answer of one that is not closed yet
 */

#define NOWHERE  0
#define OLD      1              /* queued or running there */
#define RETRY    2              /* there, waits for its time */
#define NEW      3
#define OVER     4

byte where[2];
bool effect[2];
bool opened, closed, told;
bool knows[2];                  /* nginx workers: the new layout */
byte retries = 1, deaths = 2;

#define LEFT(j)  (where[j] == OLD || where[j] == RETRY)

/* Ends job j: its effect. */
inline have(j)
{
    assert(!effect[j]);
    assert(j == 1 || !effect[1]);
    effect[j] = true;
    where[j] = OVER
}


active proctype edge()
{
    byte j, w;

    do
    :: j == 2 -> break
    :: j < 2 ->
        if
        :: w = 0
        :: w = 1
        fi;
        do
        :: knows[w] -> where[j] = NEW; break
        :: !knows[w] ->
            atomic {
                if
                :: closed -> skip               /* WRONGTYPE: ask again */
                :: !closed -> where[j] = OLD; break
                fi
            };
            told; knows[w] = true
        :: !knows[w] && told -> knows[w] = true     /* by the clock */
        od;
        j++
    od
}


active proctype travelctl()
{
    opened = true;
    do
    :: deaths > 0 -> deaths--                   /* and is run again */
    :: true -> break
    od;
#ifndef OPENLY
    closed = true;
#endif
    do
    :: deaths > 0 -> deaths--
    :: true -> break
    od;
    told = true
}


/* In order, one at a time; a retry keeps its key. */
active proctype old()
{
end:
    do
    :: atomic { where[0] == OLD -> have(0) }
    :: atomic { where[0] == OLD && retries > 0 -> retries--; where[0] = RETRY }
    :: atomic { where[0] == RETRY -> where[0] = OLD }
    :: atomic { where[1] == OLD && !LEFT(0) -> have(1) }
    :: atomic { where[1] == OLD && !LEFT(0) && retries > 0 ->
                retries--; where[1] = RETRY }
    :: atomic { where[1] == RETRY -> where[1] = OLD }
    od
}


/* 'held': the key is the old one's. */
active proctype new()
{
    bool open, held;

end:
    do
#if defined(UNHELD)
    :: atomic { opened && !open -> held = false; open = true }
#elif defined(UNCLOSED)
    :: atomic { opened && !open ->
                held = closed && (LEFT(0) || LEFT(1)); open = true }
#else
    :: atomic { opened && !open && closed ->
                held = LEFT(0) || LEFT(1); open = true }
#endif
    :: atomic { open && held && !LEFT(0) && !LEFT(1) -> held = false }
    :: atomic { open && !held && where[0] == NEW -> have(0) }
    :: atomic { open && !held && where[1] == NEW && where[0] != NEW -> have(1) }
    :: atomic { open && deaths > 0 -> deaths--; open = false; held = false }
    od
}


/* Nothing can move any more: both are over. */
active proctype watch()
{
    timeout -> assert(where[0] == OVER && where[1] == OVER)
}

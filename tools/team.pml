/* A model of fastact/runtime/team.py for the model checker SPIN: its atomic operations, one by one, in every possible order.

   tools/check_team.py exhausts it. Checked for callers, workers, places, chunks and calls as defined below:
   - each chunk of each call is computed exactly once, before the call returns;
   - a worker computes with the fields of the call whose chunk it took, and they stay until it has finished;
   - no more workers compute for a call than it has seats;
   - nobody waits forever: with LAZY callers compute nothing themselves, and a wake-up that a worker missed would be a deadlock.

   Each numbered BUG leaves out one precaution; the checker must find what it was for:
   1 a worker does not look again before it sleeps; 2 nor rings for a caller that sleeps; 3 a caller does not wait for workers;
   4 a worker takes further chunks whatever call they are of; 5 fields are set after the ticket; 6 the bell is rung before.
   Shared integers are sequentially consistent, as in the code, which asks the same of LLVM on every processor.
*/

#ifndef CALLERS
#define CALLERS 2
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef PLACES
#define PLACES 1
#endif
#ifndef CHUNKS
#define CHUNKS 2
#endif
#ifndef CALLS
#define CALLS 2
#endif
#ifndef HELPERS
#define HELPERS 1
#endif
#ifndef BUG
#define BUG 0
#endif
#ifndef LAZY
#define LAZY 0
#endif
#define TURNS 4 /* turns wrap around, later than in the code */

typedef Ticket { byte front; byte back; byte seats; byte turn };

typedef Place {
    Ticket ticket;
    byte finished;
    bit waiting;
    bit owned;
    byte field;   /* ARGS, DIMS ... : which call they describe. Plain memory. */
    byte holder   /* Ghost: whose chunks the ticket offers. */
};

typedef Call { byte computed[CHUNKS]; byte members };

Place places[PLACES];
Call calls[CALLERS * CALLS];
bool returned[CALLERS * CALLS];

byte bell, sleepers, idle;
byte asleep;       /* workers that the system has put to sleep on the bell */
byte permits;      /* of those, how many it has been told to wake */
bit caller_asleep[PLACES];

#define same(a, b) (a.front == b.front && a.back == b.back && a.seats == b.seats && a.turn == b.turn)
#define inviting(t) (t.front < t.back && t.seats > 0)

inline copy(to, from) { to.front = from.front; to.back = from.back; to.seats = from.seats; to.turn = from.turn }

inline compute(p, chunk, who) {
    assert(places[p].field == who);
    calls[who].computed[chunk]++;
    assert(calls[who].computed[chunk] == 1);
    assert(!returned[who])
}

inline ring_bell(count) {
    atomic {
        permits = (permits + count > asleep -> asleep : permits + count)
    }
}

proctype Caller(byte me) {
    byte p, own, number, who, missing, seen;
    Ticket t;
    for (number : 0 .. CALLS - 1) {
        who = me * CALLS + number;
        own = 0;
        /* claimed */
        p = 0;
        do
        :: p < PLACES ->
            if
            :: atomic { places[p].owned == 0 -> places[p].owned = 1 }; break
            :: else -> p++
            fi
        :: else -> break
        od;
        if
        :: p == PLACES -> /* computes alone */
            for (seen : 0 .. CHUNKS - 1) { calls[who].computed[seen]++ }
        :: else ->
#if BUG != 5
            places[p].field = who;
#endif
            places[p].finished = 0;
#if BUG == 6
            missing = HELPERS - (idle < HELPERS -> idle : HELPERS);
            if :: missing > 0 && sleepers > 0 -> bell++; ring_bell(missing) :: else fi;
#endif
            atomic {
                places[p].ticket.turn = (places[p].ticket.turn + 1) % TURNS;
                places[p].ticket.front = 0;
                places[p].ticket.back = CHUNKS;
                places[p].ticket.seats = HELPERS;
                places[p].holder = who
            };
#if BUG == 5
            places[p].field = who;
#endif
#if BUG != 6
            missing = idle;
            missing = (missing < HELPERS -> HELPERS - missing : 0);
            if
            :: missing > 0 && sleepers > 0 ->
                bell++;
                ring_bell(missing)
            :: else
            fi;
#endif
#if !LAZY
            do /* compute_from_front */
            :: atomic { copy(t, places[p].ticket) };
                if
                :: t.front == t.back -> break
                :: else ->
                    if
                    :: atomic { same(places[p].ticket, t) -> places[p].ticket.front++ };
                        compute(p, t.front, who);
                        own++
                    :: else
                    fi
                fi
            od;
#endif
#if BUG != 3
            do /* await_workers */
            :: places[p].finished == CHUNKS - own -> break
            :: else ->
                if
                :: skip /* looks again */
                :: places[p].waiting = 1;
                    seen = places[p].finished;
                    if
                    :: seen < CHUNKS - own ->
                        if
                        :: atomic { places[p].finished == seen -> caller_asleep[p] = 1 };
                            caller_asleep[p] == 0
                        :: else
                        fi
                    :: else
                    fi
                fi
            od;
            places[p].waiting = 0;
#endif
            for (seen : 0 .. CHUNKS - 1) { assert(BUG == 3 || calls[who].computed[seen] == 1) };
            atomic { returned[who] = true; places[p].owned = 0 }
        fi
    }
}

proctype Worker() {
    byte p, who, turn, before;
    bool member, found;
    Ticket t;
    idle++;
end_look:
    do
    :: /* help_somebody */
        found = false;
        p = 0;
        do
        :: p < PLACES && !found ->
            member = false;
            do /* joined */
            :: atomic { copy(t, places[p].ticket) };
                if
                :: t.front == t.back -> break
                :: else
                fi;
                if
                :: !member && t.seats == 0 -> break
                :: else
                fi;
#if BUG != 4
                if
                :: member && t.turn != turn -> break
                :: else
                fi;
#endif
                if
                :: atomic { same(places[p].ticket, t) ->
                        places[p].ticket.back--;
                        if
                        :: !member -> places[p].ticket.seats--
                        :: else
                        fi;
                        who = places[p].holder
                    };
                    if
                    :: !member || turn != t.turn ->
                        calls[who].members++;
                        assert(calls[who].members <= HELPERS)
                    :: else
                    fi;
                    if
                    :: !member -> idle--; member = true
                    :: else
                    fi;
                    turn = t.turn;
                    found = true;
                    compute(p, t.back - 1, who);
                    assert(places[p].field == who);
                    places[p].finished++;
#if BUG != 2
                    if
                    :: places[p].waiting -> caller_asleep[p] = 0
                    :: else
                    fi
#endif
                :: else
                fi
            od;
            if :: member -> idle++ :: else fi;
            p++
        :: else -> break
        od;
        if
        :: found
        :: else -> /* sleep */
            idle--;
            sleepers++;
            before = bell;
#if BUG != 1
            p = 0;
            do
            :: p < PLACES && !inviting(places[p].ticket) -> p++
            :: else -> break
            od;
            if
            :: p == PLACES ->
#endif
                if
                :: atomic { bell == before -> asleep++ };
end_asleep:         atomic { permits > 0 -> permits--; asleep-- }
                :: else
                fi;
#if BUG != 1
            :: else
            fi;
#endif
            sleepers--;
            idle++
        fi
    od
}

init {
    byte i;
    atomic {
        for (i : 0 .. CALLERS - 1) { run Caller(i) };
        for (i : 0 .. WORKERS - 1) { run Worker() }
    }
}

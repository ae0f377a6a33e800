/*
 * Event procedures (libpq manual, "Event System"). libpq knows a procedure by its address and hands
 * it the real connection; the program must see its session. So libpq is given one of our own
 * procedures in its place, which swaps the connection and calls on, and the lookups by address are
 * translated too.
 */
#include "backend.h"
#include "lock.h"
#include "say.h"
#include "session.h"

#include <stdlib.h>
#include <string.h>
#include "hash.h"

#define MOST_PROCEDURES 32

/* What a registration needs to know; results keep a pointer to it, so it lives for ever. */
struct registered {
	UT_hash_handle hh;
	struct registration_key {
		struct session *session;
		PGEventProc procedure;
		void *pass_through;
	} key;
};

static struct registered *registrations;

/* Events that tell of nothing but the connection all have the same structure. */
typedef PGEventRegister connection_event;
_Static_assert(sizeof(PGEventConnReset) == sizeof(connection_event), "conn alone");
_Static_assert(sizeof(PGEventConnDestroy) == sizeof(connection_event), "conn alone");

/* Swap the real connection for the session, as far as the event has one. */
static int call_on(const struct registered *registered, PGEventId id, void *info)
{
	connection_event of_session = {.conn = (PGconn *)registered->key.session};
	PGEventResultCreate create;

	switch (id) {
	case PGEVT_REGISTER:
	case PGEVT_CONNRESET:
	case PGEVT_CONNDESTROY:
		info = &of_session;
		break;
	case PGEVT_RESULTCREATE:
		create = *(PGEventResultCreate *)info;
		create.conn = of_session.conn;
		info = &create;
		break;
	default:
		break;
	}
	return registered->key.procedure(id, info, registered->key.pass_through);
}

/* One of ours for each of the program's: libpq takes the address for the identity. */
/* clang-format off */
#define STAND_INS(MAKE) \
	MAKE(0) MAKE(1) MAKE(2) MAKE(3) MAKE(4) MAKE(5) MAKE(6) MAKE(7) \
	MAKE(8) MAKE(9) MAKE(10) MAKE(11) MAKE(12) MAKE(13) MAKE(14) MAKE(15) \
	MAKE(16) MAKE(17) MAKE(18) MAKE(19) MAKE(20) MAKE(21) MAKE(22) MAKE(23) \
	MAKE(24) MAKE(25) MAKE(26) MAKE(27) MAKE(28) MAKE(29) MAKE(30) MAKE(31)
/* clang-format on */
#define DEFINE(number) \
	static int stand_in_##number(PGEventId id, void *info, void *registered) \
	{ \
		return call_on(registered, id, info); \
	}
STAND_INS(DEFINE)
#define NAME(number) stand_in_##number,
static const PGEventProc stand_ins[MOST_PROCEDURES] = {STAND_INS(NAME)};
static PGEventProc procedures[MOST_PROCEDURES];

/* The stand-in for a procedure; NULL where there is none, or no more room for one. */
static PGEventProc stand_in_for(PGEventProc procedure, bool make)
{
	PGEventProc found = NULL;

	lock_take(LOCK_EVENTS);
	for (int i = 0; i < MOST_PROCEDURES && !found; i++) {
		if (!procedures[i] && make)
			procedures[i] = procedure;
		if (!procedures[i])
			break;
		if (procedures[i] == procedure)
			found = stand_ins[i];
	}
	lock_release(LOCK_EVENTS);
	return found;
}

static PGEventProc or_itself(PGEventProc procedure)
{
	PGEventProc stand_in = procedure ? stand_in_for(procedure, false) : NULL;

	return stand_in ? stand_in : procedure;
}

static struct registered *intern(struct session *session, PGEventProc procedure, void *pass_through)
{
	struct registration_key key = {session, procedure, pass_through};
	struct registered *found;

	lock_take(LOCK_EVENTS);
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): a key of three pointers */
	HASH_FIND(hh, registrations, &key, sizeof key, found);
	if (!found && (found = malloc(sizeof *found))) {
		found->key = key;
		HASH_ADD(hh, registrations, key, sizeof key, found);
		if (!hash_added(found)) {
			free(found);
			found = NULL;
		}
	}
	lock_release(LOCK_EVENTS);
	return found;
}

int wrap_PQregisterEventProc(PGconn *conn, PGEventProc proc, const char *name, void *passThrough)
{
	PASS_THROUGH(PQregisterEventProc, (conn, proc, name, passThrough));
	SESSION_CALL(conn, CALL_ASK);
	if (!proc || !session->backend)
		return REAL(PQregisterEventProc)(session->conn, proc, name, passThrough);
	PGEventProc stand_in = stand_in_for(proc, true);
	struct registered *registered = intern(session, proc, passThrough);
	if (!stand_in || !registered) {
		say("no room for one more event procedure; PQregisterEventProc fails");
		return 0;
	}
	session->has_events = true;
	session->pinned_for_good = "has event procedures";
	session->backend->unshared = true;
	return REAL(PQregisterEventProc)(session->conn, stand_in, name, registered);
}

int wrap_PQsetInstanceData(PGconn *conn, PGEventProc proc, void *data)
{
	PASS_THROUGH(PQsetInstanceData, (conn, proc, data));
	SESSION_CALL(conn, CALL_STATE);
	return session->conn ? REAL(PQsetInstanceData)(session->conn, or_itself(proc), data) : 0;
}

void *wrap_PQinstanceData(const PGconn *conn, PGEventProc proc)
{
	PASS_THROUGH(PQinstanceData, (conn, proc));
	SESSION_CALL(conn, CALL_STATE);
	return session->conn ? REAL(PQinstanceData)(session->conn, or_itself(proc)) : NULL;
}

int wrap_PQresultSetInstanceData(PGresult *res, PGEventProc proc, void *data)
{
	return REAL(PQresultSetInstanceData)(res, or_itself(proc), data);
}

void *wrap_PQresultInstanceData(const PGresult *res, PGEventProc proc)
{
	return REAL(PQresultInstanceData)(res, or_itself(proc));
}

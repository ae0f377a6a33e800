/*
 * The wrappers that need no thought of their own, made from the libpq table: anything that is not a
 * session goes straight through, because libpq calls its own exported functions through the PLT
 * (PQexec calls PQgetResult, lo_open calls PQfn) and enters here with real connections. The others
 * are in the files wrap_*.c and cancel.c.
 */
#include "session.h"

/* What libpq keeps for a connection's life must keep its address, too. */
#define LIBPQ_KEPT(result, name, parameters, arguments, field) \
	result wrap_##name parameters \
	{ \
		PASS_THROUGH(name, arguments); \
		SESSION_CALL(conn, CALL_STATE); \
		if (session->identity) \
			return session->identity->field; \
		conn = session->conn; \
		return KNOWN(name) arguments; \
	}

#define LIBPQ_STATE(result, name, parameters, arguments, value) \
	static __attribute__((noinline)) result enter_##name parameters \
	{ \
		SESSION_CALL(conn, CALL_STATE); \
		if (!session->conn) \
			return value; \
		conn = session->conn; \
		return KNOWN(name) arguments; \
	} \
	result wrap_##name parameters \
	{ \
		PASS_THROUGH(name, arguments); \
		struct session *session = (struct session *)conn; \
		if (!session_is_plain(session)) \
			return enter_##name arguments; \
		conn = session->conn; \
		return KNOWN(name) arguments; \
	}

#define ATTACHED(kind, name, parameters, arguments) \
	{ \
		PASS_THROUGH(name, arguments); \
		SESSION_CALL(conn, kind); \
		conn = session->conn; \
		return KNOWN(name) arguments; \
	}

#define LIBPQ_USE(result, name, parameters, arguments, extra) \
	result wrap_##name parameters ATTACHED(CALL_USE, name, parameters, arguments)
#define LIBPQ_ADD(result, name, parameters, arguments, extra) \
	result wrap_##name parameters ATTACHED(CALL_ADD, name, parameters, arguments)
#define LIBPQ_ASK(result, name, parameters, arguments, extra) \
	result wrap_##name parameters ATTACHED(CALL_ASK, name, parameters, arguments)
#define LIBPQ_LOCAL(result, name, parameters, arguments, extra) \
	result wrap_##name parameters \
	{ \
		PASS_THROUGH(name, arguments); \
		SESSION_CALL(conn, CALL_LOCAL); \
		struct session *lender __attribute__((cleanup(session_return))); \
		conn = session_borrow(&call_, &lender); \
		return KNOWN(name) arguments; \
	}
#define LIBPQ_OWN(result, name, parameters, arguments, extra)
#define LIBPQ_CALL(result, name, parameters, arguments, extra)
#define LIBPQ(kind, ...) LIBPQ_##kind(__VA_ARGS__)
#include "libpq_table.h"

/*
 * Notifications: paid orders are announced to whoever listens.
 *
 * Connections: one listens until the suite ends and is then forgotten; each announcement comes
 * from a connection that is closed right after it.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "db.h"
#include "suites.h"

#define ANNOUNCEMENTS 14
#define PATIENCE_MS 2000

/* The next notification, or NULL when none comes in time. The caller frees it. */
static PGnotify *wait_for_notification(PGconn *conn)
{
	for (;;) {
		struct pollfd wait = {.fd = PQsocket(conn), .events = POLLIN};
		PGnotify *notification = PQnotifies(conn);

		if (notification)
			return notification;
		if (wait.fd < 0 || poll(&wait, 1, PATIENCE_MS) <= 0 || !PQconsumeInput(conn))
			return NULL;
	}
}

static void announce(int order)
{
	PGconn *sender = PQconnectdb("");

	CHECK_DB(sender, db_execf(sender, "NOTIFY legacy_orders, 'order %d paid'", order));
	PQfinish(sender);
}

static void check_heard(PGconn *listener, int order)
{
	PGnotify *heard = wait_for_notification(listener);
	char expected[32];

	snprintf(expected, sizeof(expected), "order %d paid", order);
	CHECK_DB(listener, heard && strcmp(heard->relname, "legacy_orders") == 0);
	CHECK(heard && strcmp(heard->extra, expected) == 0);
	PQfreemem(heard);
}

static void run(void)
{
	PGconn *listener = PQconnectdb("");

	REQUIRE_DB(listener, db_exec(listener, "LISTEN legacy_orders"));
	for (int order = 1; order <= ANNOUNCEMENTS; order++) {
		announce(order);
		check_heard(listener, order);
	}
	CHECK(PQnotifies(listener) == NULL);
}

const struct suite notifications_suite = {"notifications", 44, run};

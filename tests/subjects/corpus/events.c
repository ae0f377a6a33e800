/* Event procedures of connections: what they are told, and the data that they keep there. */
/* needs: 3, for sessions with event procedures do not move */
#include "corpus.h"

static PGconn *conns[3];

static const char *session_name(const PGconn *conn)
{
	for (int i = 0; i < COUNT(conns); i++)
		if (conns[i] == conn)
			return name_of(i);
	return "?";
}

static int tell(PGEventId id, void *info, void *argument)
{
	const char *who = argument;

	switch (id) {
	case PGEVT_REGISTER:
		printf("%s: register %s\n", who, session_name(((PGEventRegister *)info)->conn));
		return 1;
	case PGEVT_CONNRESET:
		printf("%s: reset %s\n", who, session_name(((PGEventConnReset *)info)->conn));
		return 1;
	case PGEVT_CONNDESTROY: {
		PGconn *conn = ((PGEventConnDestroy *)info)->conn;

		printf("%s: destroy %s, data %s\n", who, session_name(conn),
		    text(PQinstanceData(conn, tell)));
		return 1;
	}
	case PGEVT_RESULTCREATE: {
		const PGEventResultCreate *create = info;

		printf("%s: result of %s, %s\n", who, session_name(create->conn),
		    PQresStatus(PQresultStatus(create->result)));
		return 1;
	}
	default:
		printf("%s: event %d\n", who, (int)id);
		return 1;
	}
}

/* Refuses to be registered. */
static int refuse(PGEventId id, void *info, void *argument)
{
	(void)info;
	printf("%s: refuses event %d\n", (const char *)argument, (int)id);
	return 0;
}

int main(void)
{
	static char data[COUNT(conns)][10] = {"data of a", "data of b", "data of c"};

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		void *who = (void *)name_of(i);

		printf("no data yet %d\n", PQinstanceData(conns[i], tell) == NULL);
		printf("set %d\n", PQsetInstanceData(conns[i], tell, data[i]));
		printf("registered %d\n", PQregisterEventProc(conns[i], tell, "tell", who));
		printf("again %d\n", PQregisterEventProc(conns[i], tell, "tell", who));
		printf("refused %d\n", PQregisterEventProc(conns[i], refuse, "refuse", who));
		printf("no name %d\n", PQregisterEventProc(conns[i], refuse, "", who));
		printf("set %d\n", PQsetInstanceData(conns[i], tell, data[i]));
	}
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < COUNT(conns); i++) {
			run(name_of(i), conns[i], "SELECT 1; SELECT 2");
			run(name_of(i), conns[i], "SELECT 1/0");
			show("prepare", PQprepare(conns[i], "", "SELECT 3", 0, NULL));
			printf("data %s\n", text(PQinstanceData(conns[i], tell)));
		}
		for (int i = 0; i < COUNT(conns); i++)
			PQreset(conns[i]);
	}
	finish_sessions(conns, COUNT(conns));
	return 0;
}

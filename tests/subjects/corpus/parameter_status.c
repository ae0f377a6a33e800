/* PQparameterStatus follows what each session sets, and its pointer stays readable. */
#include "corpus.h"

static const char *const names[] = {"server_version", "server_encoding", "client_encoding",
    "application_name", "is_superuser", "session_authorization", "DateStyle", "IntervalStyle",
    "TimeZone", "integer_datetimes", "standard_conforming_strings", "no_such_parameter"};

int main(void)
{
	static const char *const sets[] = {"SET application_name = 'first'",
	    "SET DateStyle = 'German'", "SET TimeZone = 'Asia/Tokyo'",
	    "SET standard_conforming_strings = off"};
	PGconn *conns[COUNT(sets)];
	const char *kept[COUNT(sets)];

	open_sessions(conns, COUNT(sets));
	for (int i = 0; i < COUNT(sets); i++) {
		kept[i] = PQparameterStatus(conns[i], "server_version");
		run(name_of(i), conns[i], sets[i]);
	}
	for (int i = 0; i < COUNT(sets); i++) {
		for (int k = 0; k < COUNT(names); k++)
			printf("%s: %s=%s\n", name_of(i), names[k],
			    text(PQparameterStatus(conns[i], names[k])));
		printf("no name: %s\n", text(PQparameterStatus(conns[i], NULL)));
		printf("kept: %s\n", kept[i]);
	}
	run("a", conns[0], "RESET application_name");
	printf("a: [%s]\n", text(PQparameterStatus(conns[0], "application_name")));
	finish_sessions(conns, COUNT(sets));
	return 0;
}

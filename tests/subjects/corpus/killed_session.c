/* needs: 2 backends, one stays with the pid that was asked for */
/* A session that another one terminates: the error, the state afterwards, and PQreset. */
#include "corpus.h"

int main(void)
{
	PGconn *victim = open_session(""), *killer = open_session("");
	char query[64];

	run("victim", victim, "SET application_name = 'victim'");
	snprintf(
	    query, sizeof query, "SELECT pg_terminate_backend(%d, 5000)", PQbackendPID(victim));
	run("killer", killer, query);
	run("victim", victim, "SELECT 1");
	show_state("victim", victim);
	run("victim", victim, "SELECT 2");
	show_state("victim", victim);
	printf("parameter %s\n", text(PQparameterStatus(victim, "application_name")));
	run("killer", killer, "SELECT 3");
	PQreset(victim);
	show_state("victim", victim);
	run("victim", victim, "SHOW application_name");
	run("victim", victim, "SELECT pg_terminate_backend(pg_backend_pid())");
	show_state("victim", victim);
	PQfinish(victim);
	run("killer", killer, "SELECT 4");
	PQfinish(killer);
	return 0;
}

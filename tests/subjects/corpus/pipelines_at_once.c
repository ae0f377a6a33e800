/* needs: 2 backends, both in a pipeline */
/* Two pipelines at the same time. */
#include "corpus.h"

int main(void)
{
	PGconn *conns[2];
	char query[64];

	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++)
		PQenterPipelineMode(conns[i]);
	for (int k = 0; k < 3; k++)
		for (int i = 0; i < COUNT(conns); i++) {
			snprintf(query, sizeof query, "SELECT '%s', %d", name_of(i), k);
			PQsendQueryParams(conns[i], query, 0, NULL, NULL, NULL, NULL, 0);
		}
	for (int i = 0; i < COUNT(conns); i++)
		PQpipelineSync(conns[i]);
	for (int k = 0; k < 4; k++)
		for (int i = 0; i < COUNT(conns); i++)
			drain(name_of(i), conns[i]);
	PGconn *left = conns[1];
	printf("exit %d\n", PQexitPipelineMode(conns[0]));
	run("a", conns[0], "SELECT 1");
	PQsendQueryParams(left, "SELECT 'left behind'", 0, NULL, NULL, NULL, NULL, 0);
	finish_sessions(conns, COUNT(conns));
	return 0;
}

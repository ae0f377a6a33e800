/* PQconninfo, PQconninfoParse and PQconndefaults. */
#include "corpus.h"

static void show_options(const char *who, PQconninfoOption *options)
{
	for (PQconninfoOption *option = options; option && option->keyword; option++)
		if (option->val && strcmp(option->keyword, "host") != 0 &&
		    strcmp(option->keyword, "port") != 0)
			printf("%s: %s=%s (%s, %s, %d)\n", who, option->keyword, option->val,
			    option->label, option->dispchar, option->dispsize);
	PQconninfoFree(options);
}

int main(void)
{
	PGconn *conns[] = {open_session(""),
	    open_session("connect_timeout=7 application_name='a b'"),
	    open_session("postgresql:///?keepalives=0"), open_session("")};
	char *error = NULL;

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < COUNT(conns); i++) {
			run(name_of(i), conns[i], "SELECT 1");
			show_options(name_of(i), PQconninfo(conns[i]));
		}
	finish_sessions(conns, COUNT(conns));
	show_options("defaults", PQconndefaults());
	show_options("parsed", PQconninfoParse("dbname=x user='a b' password=p", &error));
	show_options("parsed", PQconninfoParse("postgresql://u@h:1/d?sslmode=prefer", &error));
	show_options("refused", PQconninfoParse("dbname", &error));
	printf("error %s", text(error));
	PQfreemem(error);
	show_options("refused", PQconninfoParse("postgresql://h/?what=1", &error));
	printf("error %s", text(error));
	PQfreemem(error);
	PGconn *failed = PQconnectdb("dbname=nowhere");
	show_options("failed", PQconninfo(failed));
	PQfinish(failed);
	return 0;
}

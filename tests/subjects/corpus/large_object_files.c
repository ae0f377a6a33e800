/* Large objects from files and into files. */
#include "corpus.h"

#include <unistd.h>

static void print_file(const char *name)
{
	char bytes[100] = "";
	FILE *file = fopen(name, "r");

	if (!file)
		return;
	size_t length = fread(bytes, 1, sizeof bytes - 1, file);
	printf("%zu bytes: %s\n", length, bytes);
	fclose(file);
}

int main(void)
{
	PGconn *conns[4];
	char in[] = "/tmp/corpus-in.XXXXXX", out[] = "/tmp/corpus-out.XXXXXX";
	int descriptor = mkstemp(in);

	prepare_database("");
	if (descriptor < 0 || write(descriptor, "from a file", 11) != 11)
		return 1;
	close(descriptor);
	close(mkstemp(out));
	open_sessions(conns, COUNT(conns));
	for (int i = 0; i < COUNT(conns); i++) {
		Oid given = lo_import_with_oid(conns[i], in, 80000 + (Oid)i);
		Oid any = lo_import(conns[i], in);

		printf("import %d %d\n", given == 80000 + (Oid)i, any != InvalidOid);
		run("contents", conns[i], "SELECT data FROM pg_largeobject ORDER BY loid");
		printf("export %d\n", lo_export(conns[(i + 1) % COUNT(conns)], any, out));
		print_file(out);
		show_answer("taken", lo_import_with_oid(conns[i], in, given), conns[i]);
		show_answer("no file", lo_import(conns[i], "/no/such/file"), conns[i]);
		show_answer("no object", lo_export(conns[i], 1, out), conns[i]);
		show_answer("no folder", lo_export(conns[i], given, "/no/such/file"), conns[i]);
		run("unlinked", conns[i],
		    "SELECT count(*) FROM (SELECT lo_unlink(oid) FROM pg_largeobject_metadata) x");
		show_state(name_of(i), conns[i]);
	}
	finish_sessions(conns, COUNT(conns));
	unlink(in);
	unlink(out);
	return 0;
}

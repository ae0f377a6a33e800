/*
 * Reads commands from stdin, one per line, and answers each on stdout. Fields are separated by one
 * space (two give an empty field); the last one takes the rest of the line. \n \t \s \\ and \xHH
 * stand for bytes; \N is a NULL among values. Sessions are named by any word; a name stays what it
 * was after finish, until it is opened again. What each command takes stands in the tables at the
 * end of the other files; besides those there is "exit STATUS".
 */
#include "steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct named *sessions;

static struct named *find_session(const char *name)
{
	struct named *found = sessions;

	while (found && strcmp(found->name, name) != 0)
		found = found->next;
	if (found)
		return found;
	found = calloc(1, sizeof *found);
	found->name = strdup(name);
	found->socket = -1;
	found->next = sessions;
	return sessions = found;
}

static void do_exit(char **words)
{
	printf("\n");
	exit(atoi(words[0]));
}

static const struct command *find_command(const char *name)
{
	static const struct command own[] = {{"exit", NULL, do_exit, 1, 0}, {0}};
	static const struct command *const tables[] = {connection_commands, statement_commands,
	    client_commands, cooperation_commands, own, NULL};

	for (const struct command *const *table = tables; *table; table++)
		for (const struct command *command = *table; command->name; command++)
			if (strcmp(command->name, name) == 0)
				return command;
	return NULL;
}

static void run(int number, char *line)
{
	char *words[MOST_WORDS], *rest = line;
	const char *name = next_field(&rest, ' ');
	const struct command *command = find_command(name);

	if (!command) {
		printf("%d no such command: %s\n", number, name);
		exit(2);
	}
	for (int i = 0; i < command->words; i++) {
		words[i] = i + 1 < command->words ? next_field(&rest, ' ') : rest;
		if (i == 0 || i != command->list)
			unescape(words[i]);
	}
	if (command->with_session) {
		printf("%d %s %s: ", number, name, words[0]);
		command->with_session(find_session(words[0]), words);
	} else {
		printf("%d %s: ", number, name);
		command->alone(words);
	}
	printf("\n");
}

int main(void)
{
	char *line = NULL;
	size_t room = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int number = 1; getline(&line, &room, stdin) > 0; number++) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] && line[0] != '#')
			run(number, line);
	}
	free(line);
	return 0;
}

"""Opens connections with psycopg 3 and keeps them all, each with a state of its own. usage: psycopg3_leak.py NUMBER"""
import sys

import psycopg
from psycopg.rows import dict_row

number = int(sys.argv[1])
connections = []

for i in range(number):
    connection = psycopg.connect("", autocommit=i % 2 == 0, application_name=f"one of many {i}", prepare_threshold=2)
    connection.execute(f"SET work_mem = '{i + 1}MB'")
    connection.execute("SELECT set_config('own.name', %s, false)", (f"name {i}",))
    connection.commit()
    connections.append(connection)

# After the second time psycopg prepares a statement by itself, and executes it by name.
for turn in range(4):
    for i in reversed(range(number)):
        connection = connections[i]
        with connection.transaction():
            cursor = connection.execute("SELECT current_setting('work_mem'), current_setting('own.name'), %s::int", (i,))
            print(turn, i, cursor.fetchone())
        connection.commit()

for i, connection in enumerate(connections):
    try:
        connection.execute("SELECT 1 / (%s::int - %s::int)", (i, i))
    except psycopg.Error as error:
        print(i, type(error).__name__, error.sqlstate, error.diag.message_primary)
    connection.rollback()
    notices = []
    connection.add_notice_handler(lambda notice, notices=notices: notices.append(notice.message_primary))
    connection.execute("DO $$ BEGIN RAISE NOTICE 'from %', current_setting('own.name'); END $$")
    connection.commit()
    print(i, notices, connection.info.status, connection.info.transaction_status, connection.info.dbname,
          connection.info.parameter_status("application_name"), connection.info.encoding, connection.closed)

for i, connection in enumerate(connections[:10]):
    with connection.transaction():
        with connection.cursor("on_server", row_factory=dict_row) as cursor:
            cursor.itersize = 7
            cursor.execute("SELECT n FROM generate_series(1, %s::int) n", (20 + i,))
            print(i, sum(row["n"] for row in cursor))
        connection.execute("CREATE TEMPORARY TABLE mine (n int, t text) ON COMMIT DROP")
        with connection.cursor() as cursor:
            with cursor.copy("COPY mine FROM STDIN") as copy:
                for n in range(i + 2):
                    copy.write_row((n, f"line {n}"))
            cursor.executemany("INSERT INTO mine VALUES (%s, %s)", [(n, "more") for n in range(i)])
            with cursor.copy("COPY mine TO STDOUT (FORMAT BINARY)") as copy:
                print(i, sum(len(block) for block in copy))
            print(i, sum(row[0] for row in cursor.stream("SELECT n FROM generate_series(1, 50) n")))
    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::int + %s::int", (i, n)) for n in range(5)]
        print(i, [cursor.fetchone()[0] for cursor in cursors])
    connection.rollback()

"""Opens connections with psycopg2 and keeps them all, each with a state of its own. usage: psycopg2_leak.py NUMBER"""
import io
import sys

import psycopg2
import psycopg2.extras

number = int(sys.argv[1])
connections = []


def value(connection, sql, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()[0]


for i in range(number):
    connection = psycopg2.connect("", application_name=f"one of many {i}")
    connection.autocommit = i % 2 == 0
    with connection.cursor() as cursor:
        cursor.execute("SET work_mem = %s", (f"{i + 1}MB",))
        cursor.execute(f"PREPARE kept AS SELECT {i} + $1::int")
        cursor.execute("SELECT set_config('own.name', %s, false)", (f"name {i}",))
    if not connection.autocommit:
        connection.commit()
    if i % 3 == 0:
        connection.set_client_encoding("LATIN1")
    connections.append(connection)

for i in reversed(range(number)):
    connection = connections[i]
    print(i, value(connection, "SHOW work_mem"), value(connection, "EXECUTE kept (%s)", 100),
          value(connection, "SELECT current_setting('own.name')"), value(connection, "SHOW application_name"),
          connection.encoding, value(connection, "SELECT 'é'"), connection.status, connection.autocommit,
          connection.get_transaction_status())
    connection.rollback()

for i, connection in enumerate(connections):
    try:
        value(connection, "SELECT 1 / (%s - %s)", i, i)
    except psycopg2.Error as error:
        print(i, type(error).__name__, error.pgcode, str(error).splitlines()[0])
    connection.rollback()
    value(connection, "DO $$ BEGIN RAISE NOTICE 'from %%', current_setting('own.name'); END $$; SELECT 1")
    print(i, connection.notices, connection.closed)
    connection.rollback()

# What needs several round trips: cursors of the server, COPY, large objects, a table of values.
for i, connection in enumerate(connections[:10]):
    connection.autocommit = False
    with connection:
        with connection.cursor("on_server") as cursor:
            cursor.itersize = 7
            cursor.execute("SELECT n FROM generate_series(1, %s) n", (20 + i,))
            print(i, sum(row[0] for row in cursor))
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE mine (n int, t text) ON COMMIT DROP")
            cursor.copy_expert("COPY mine FROM STDIN", io.StringIO("".join(f"{n}\tline {n}\n" for n in range(i + 2))))
            psycopg2.extras.execute_values(cursor, "INSERT INTO mine VALUES %s", [(n, "more") for n in range(i)])
            out = io.StringIO()
            cursor.copy_expert("COPY mine TO STDOUT", out)
            print(i, out.getvalue().replace("\n", "; "))
        large = connection.lobject(0, "wb")
        large.write(b"large" * (i + 1))
        large.seek(3)
        large.close()
        print(i, len(connection.lobject(large.oid, "rb").read()))
        connection.lobject(large.oid, "n").unlink()

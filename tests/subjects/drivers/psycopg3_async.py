"""psycopg 3 in all its ways to wait: asyncio tasks, each of its wait functions, and threads."""
import asyncio
import threading

import psycopg
from psycopg import waiting

NUMBER = 20
QUERIES = 10


async def client(number, start):
    connection = await psycopg.AsyncConnection.connect("", autocommit=True)
    await connection.execute(f"SET work_mem = '{number + 1}MB'")
    await start.wait()
    answers = []
    for query in range(QUERIES):
        cursor = await connection.execute(
            "SELECT current_setting('work_mem'), %s::int FROM pg_sleep(0.001)", (query,))
        answers.append(await cursor.fetchone())
    async with connection.transaction():
        async with connection.cursor() as cursor:
            async with cursor.copy("COPY (SELECT generate_series(1, 100)) TO STDOUT") as copy:
                answers.append(sum([1 async for _ in copy.rows()]))
    return number, answers, connection


async def event_loop():
    start = asyncio.Event()
    tasks = [asyncio.create_task(client(number, start)) for number in range(NUMBER)]
    start.set()
    for number, answers, connection in await asyncio.gather(*tasks):
        print("asyncio", number, answers)
        await connection.close()


async def notifications():
    listener = await psycopg.AsyncConnection.connect("", autocommit=True)
    sender = await psycopg.AsyncConnection.connect("", autocommit=True)
    await listener.execute("LISTEN news")
    for i in range(3):
        await sender.execute(f"NOTIFY news, 'number {i}'")
    heard = []
    async for notify in listener.notifies():
        heard.append((notify.channel, notify.payload))
        if len(heard) == 3:
            break
    print("notifications", heard)
    await listener.close()
    await sender.close()


def wait_functions():
    chosen = waiting.wait
    for name in ("wait_selector", "wait_select", "wait_epoll"):
        if not hasattr(waiting, name):
            continue
        waiting.wait = getattr(waiting, name)
        connections = [psycopg.connect("", autocommit=True) for _ in range(NUMBER)]
        for i, connection in enumerate(connections):
            connection.execute(f"SET work_mem = '{i + 1}MB'")
        values = [connection.execute("SELECT current_setting('work_mem') FROM pg_sleep(0.001)").fetchone()[0]
                  for connection in connections]
        print(name, values)
        for connection in connections:
            connection.close()
    waiting.wait = chosen


def threads():
    answers = []
    everyone_has_one = threading.Barrier(NUMBER)

    def work(number):
        with psycopg.connect("") as connection:
            everyone_has_one.wait()
            connection.execute(f"SET work_mem = '{number + 1}MB'")
            connection.commit()
            for query in range(QUERIES):
                row = connection.execute("SELECT current_setting('work_mem'), %s::int", (query,)).fetchone()
                connection.commit()
                answers.append((number, row))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(NUMBER)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("threads", sorted(answers))


print(psycopg.pq.__impl__)
asyncio.run(event_loop())
asyncio.run(notifications())
wait_functions()
threads()

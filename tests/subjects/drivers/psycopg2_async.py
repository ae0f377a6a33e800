"""psycopg2 with asynchronous connections, then with threads: one event loop over long-lived epoll registrations,
wait_select one after the other, and a ThreadedConnectionPool."""
import select
import threading

import psycopg2
import psycopg2.extensions
import psycopg2.pool
from psycopg2.extras import wait_select

NUMBER = 20
QUERIES = 10


def connect_one_by_one():
    connections = []
    for i in range(NUMBER):
        connection = psycopg2.connect("", async_=True)
        wait_select(connection)
        cursor = connection.cursor()
        cursor.execute("SET work_mem = %s", (f"{i + 1}MB",))
        wait_select(connection)
        connections.append(connection)
    for i, connection in enumerate(connections):
        cursor = connection.cursor()
        cursor.execute("SELECT current_setting('work_mem'), count(*) FROM generate_series(1, 1000)")
        wait_select(connection)
        print("wait_select", i, cursor.fetchall())


class Client:
    """One connection of the event loop."""

    def __init__(self, number):
        self.number = number
        self.answers = []
        self.connection = psycopg2.connect("", async_=True)
        self.cursor = None

    def step(self):
        """What to wait for next; None at the end."""
        while True:
            state = self.connection.poll()
            if state == psycopg2.extensions.POLL_READ:
                return select.EPOLLIN
            if state == psycopg2.extensions.POLL_WRITE:
                return select.EPOLLOUT
            if self.cursor:
                self.answers.append(self.cursor.fetchone()[0])
            if len(self.answers) == QUERIES:
                return None
            self.cursor = self.connection.cursor()
            self.cursor.execute("SELECT %s::int * 100 + %s::int FROM pg_sleep(0.001)", (self.number, len(self.answers)))


def event_loop():
    epoll = select.epoll()
    clients = {}
    for i in range(NUMBER):
        client = Client(i)
        clients[client.connection.fileno()] = client
        epoll.register(client.connection.fileno(), client.step())
    done = []
    while clients:
        for descriptor, _ in epoll.poll(30):
            client = clients[descriptor]
            events = client.step()
            if events:
                epoll.modify(descriptor, events)
                continue
            epoll.unregister(descriptor)
            done.append(clients.pop(descriptor))
    for client in sorted(done, key=lambda client: client.number):
        print("event loop", client.number, client.answers)


def threads():
    pool = psycopg2.pool.ThreadedConnectionPool(1, NUMBER, "")
    answers = []
    everyone_has_one = threading.Barrier(NUMBER)

    def work(number):
        connection = pool.getconn()
        everyone_has_one.wait()
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT set_config('own.number', %s, false)", (str(number),))
        for query in range(QUERIES):
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT current_setting('own.number')::int * 100 + %s", (query,))
                answers.append(cursor.fetchone()[0])
        pool.putconn(connection)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(NUMBER)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    pool.closeall()
    print("threads", sorted(answers))


def notifications():
    listener = psycopg2.connect("")
    listener.autocommit = True
    sender = psycopg2.connect("")
    sender.autocommit = True
    listener.cursor().execute("LISTEN news")
    for i in range(3):
        sender.cursor().execute(f"NOTIFY news, 'number {i}'")
    while len(listener.notifies) < 3:
        select.select([listener], [], [], 30)
        listener.poll()
    print([(notify.channel, notify.payload) for notify in listener.notifies])
    listener.close()
    sender.close()


connect_one_by_one()
event_loop()
threads()
notifications()

"""Planted misuses in a pytest suite; psycopg2 itself prevents the others."""

import ctypes

import psycopg2


def connect():
    connection = psycopg2.connect("")
    connection.autocommit = True
    return connection


def test_clean():
    connect().close()


def test_leaks():
    connection = connect()  # planted: leaked
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


class TestGroup:
    def test_leaves_a_transaction(self):
        connection = psycopg2.connect("")  # planted: transaction-left-open
        connection.cursor().execute("SELECT 1")
        connection.close()

"""The servers that the tests stand on do what the tests say of them."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest


def test_what_was_committed_outlives_a_kill_and_a_stop(postgres_server):
    postgres_server.ask("CREATE TABLE kept (word text)")
    with psycopg.connect(postgres_server.url) as session:
        session.execute("INSERT INTO kept VALUES ('committed')")
        session.commit()
        session.execute("INSERT INTO kept VALUES ('lost')")
        postgres_server.kill()
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    postgres_server.start()
    assert postgres_server.ask("SELECT * FROM kept") == [("committed",)]
    postgres_server.stop()
    postgres_server.start()
    assert postgres_server.ask("SELECT * FROM kept") == [("committed",)]


def test_a_paused_server_says_nothing_until_it_goes_on(postgres_server):
    with psycopg.connect(postgres_server.url, autocommit=True) as session, ThreadPoolExecutor(1) as threads:
        postgres_server.pause()
        with pytest.raises(psycopg.OperationalError):
            postgres_server.ask("SELECT 1")
        answer = threads.submit(lambda: session.execute("SELECT 2").fetchone())
        with pytest.raises(TimeoutError):
            answer.result(0.2)
        postgres_server.go_on()
        assert answer.result(10) == (2,)


def test_each_test_has_a_database_of_its_own(postgres_url, shared_postgres_server):
    other = shared_postgres_server.new_database("other")
    for url in (postgres_url, other):
        with psycopg.connect(url) as session:
            session.execute("CREATE TABLE mine (number int)")
            session.commit()

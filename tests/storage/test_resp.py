from hypothesis import given
from hypothesis import strategies as st

from gatewright.storage.redis.resp import ErrorReply, ReplyParser, encode

WIRE = b"$3\r\na\r\n\r\n:-7\r\n+OK\r\n-NOSCRIPT No matching script\r\n$-1\r\n*2\r\n$0\r\n\r\n*1\r\n:1\r\n*-1\r\n"
REPLIES = [b"a\r\n", -7, b"OK", ErrorReply("NOSCRIPT", "NOSCRIPT No matching script"), None, [b"", [1]], None]


@given(st.lists(st.integers(0, len(WIRE)), max_size=6))
def test_replies_are_found_however_they_are_cut(cuts):
    parser = ReplyParser()
    at, found = 0, []
    for cut in [*sorted(cuts), len(WIRE)]:
        found += parser.feed(WIRE[at:cut])
        at = cut
    assert found == REPLIES


def test_a_command_may_hold_any_bytes():
    assert encode(b"SET", b"\r\n", b"\x00") == b"*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$1\r\n\x00\r\n"


def test_an_error_may_be_no_text():
    assert ReplyParser().feed(b"-ERR \xff\xfe\r\n") == [ErrorReply("ERR", "ERR \ufffd\ufffd")]

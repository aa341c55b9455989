import pytest

from gatewright.errors import ConfigurationError
from gatewright.storage.redis import RedisAddress


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", {"hosts": (("h", 6379),)}),
        ("valkey://h:1/3", {"hosts": (("h", 1),), "db": 3}),
        ("rediss://u:p%40s@h:6380", {"hosts": (("h", 6380),), "username": "u", "password": "p@s", "tls": True}),
        ("valkeys://:pw@[::1]:6380", {"hosts": (("::1", 6380),), "password": "pw", "tls": True}),
        ("unix:///run/redis.sock?db=2", {"path": "/run/redis.sock", "db": 2}),
        (
            "redis+sentinel://:pw@a:1,b/mymaster/4?sentinel_password=s",
            {
                "kind": "sentinel",
                "hosts": (("a", 1), ("b", 26379)),
                "service": "mymaster",
                "db": 4,
                "password": "pw",
                "sentinel_password": "s",
            },
        ),
        ("valkey+cluster://a:1,b:2", {"kind": "cluster", "hosts": (("a", 1), ("b", 2))}),
        ("rediss://h?ssl_ca_certs=/ca.pem", {"hosts": (("h", 6379),), "tls": True, "ca_file": "/ca.pem"}),
    ],
)
def test_every_form_of_url_is_read(url, expected):
    assert RedisAddress.parse(url) == RedisAddress(**expected)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "redis://host"),
        ("http://h", "redis://host"),
        ("h:6379", "redis://host"),
        ("redis://", "host"),
        ("redis://h:99999", "host:port"),
        ("redis://h:port", "host:port"),
        ("redis://a,b", "sentinel"),
        ("redis://h/x", "number"),
        ("redis+sentinel://h", "service"),
        ("redis+cluster://h?db=1", "database 0"),
        ("redis://h?timeout=1", "'timeout'"),
        ("unix://", "unix:///"),
        ("redis://[::1:6379/0", "no URL"),
        ("redis://h\u2100x", "no URL"),
        ("redis://h/" + "9" * 5000, "number"),
    ],
)
def test_a_wrong_url_is_told_without_being_shown(url, told):
    with pytest.raises(ConfigurationError) as caught:
        RedisAddress.parse(url.replace("://", "://user:hunter2@", 1) if url.startswith("redis") else url)
    assert told in str(caught.value)
    assert caught.value.param == "redis_url"
    assert "hunter2" not in str(caught.value)


def test_its_repr_has_no_password():
    assert "secret" not in repr(RedisAddress.parse("redis://u:secret@h?sentinel_password=secret2"))

"""A journal: what was appended is read, whatever happened to whoever wrote it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewright.errors import ConfigurationError
from gatewright.storage.journal import Journal, JournalConfig, JournalReader
from gatewright.storage.journal.framing import frame, scan
from gatewright.storage.journal.segment import segments

SMALL = JournalConfig(segment_bytes=4096, max_bytes=1 << 20)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "j", SMALL)
    yield opened
    opened.close()


def read(reader: JournalReader, limit: int = 1000) -> list[bytes]:
    entries = reader.read(limit)
    reader.drained()
    return entries


def read_all(reader: JournalReader) -> list[bytes]:
    contents: list[bytes] = []
    while some := read(reader, 7):
        contents += some
    return contents


def numbered(count: int) -> list[bytes]:
    return [b"%d " % number + os.urandom(50) for number in range(count)]


def test_what_is_appended_is_read_in_order_and_once(journal: Journal) -> None:
    reader = JournalReader(journal.directory, journal.used)
    wanted = numbered(500)
    got: list[bytes] = []
    for place, entry in enumerate(wanted):
        journal.append(entry)
        if place % 90 == 0:
            got += read_all(reader)
    got += read_all(reader)
    assert got == wanted
    assert len(segments(journal.directory)) <= 2
    assert reader.backlog() == 0


def test_what_is_not_drained_is_read_again(journal: Journal) -> None:
    reader = JournalReader(journal.directory, journal.used)
    wanted = numbered(10)
    for entry in wanted:
        journal.append(entry)
    assert reader.read(5) == wanted[:5]
    assert reader.read(100) == wanted
    reader.read(4)
    reader.drained()
    assert read_all(reader) == wanted[4:]


def test_another_process_reads_what_is_being_written(journal: Journal) -> None:
    reader = JournalReader(journal.directory)
    wanted = numbered(200)
    got: list[bytes] = []
    for entry in wanted:
        journal.append(entry)
        got += read(reader, 3)
    got += read_all(reader)
    assert got == wanted
    assert reader.follows_others
    journal.close()
    assert read_all(reader) == []
    assert segments(journal.directory) == []


def test_an_entry_larger_than_a_segment_gets_one_of_its_own(journal: Journal) -> None:
    reader = JournalReader(journal.directory)
    wanted = [b"small", os.urandom(700_000), b"also small"]
    for entry in wanted:
        journal.append(entry)
    assert read_all(reader) == wanted


def test_only_some_megabytes_are_read_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", JournalConfig(4096, 1 << 26))
    reader = JournalReader(journal.directory, journal.used)
    for _ in range(30):
        journal.append(bytes(700_000))
    got = []
    while entries := reader.read(1000):
        assert len(entries) <= 13
        got.append((len(entries), reader.more))
        reader.drained()
    assert sum(count for count, _ in got) == 30
    assert [more for _, more in got[:-1]] == [True] * (len(got) - 1)
    journal.close()


def test_closing_gives_back_the_space(journal: Journal) -> None:
    journal.append(b"x" * 100)
    journal.close()
    (path,) = segments(journal.directory)
    assert path.stat().st_size == 108


def test_closing_without_entries_leaves_nothing(journal: Journal) -> None:
    journal.open()
    journal.close()
    assert segments(journal.directory) == []


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="data_dir"):
        Journal(tmp_path / "file" / "j").open()


def test_the_first_append_after_settling_tells(tmp_path: Path) -> None:
    told: list[int] = []
    journal = Journal(tmp_path / "j", SMALL, appended=lambda: told.append(1))
    for _ in range(3):
        journal.append(b"x")
    journal.settled()
    journal.append(b"x")
    journal.close()
    assert len(told) == 2


class TestDamage:
    def torn(self, tmp_path: Path, end: bytes) -> tuple[JournalReader, list[bytes]]:
        """Give a reader of a segment, of a process that is gone, whose last bytes are `end`."""
        journal = Journal(tmp_path / "j", SMALL)
        wanted = numbered(5)
        for entry in wanted:
            journal.append(entry)
        journal.close()
        (path,) = segments(tmp_path / "j")
        with path.open("ab") as file:
            file.write(end)
        return JournalReader(tmp_path / "j"), wanted

    @pytest.mark.parametrize("cut", [1, 4, 8, 9, 40])
    def test_a_torn_tail_is_left_out_and_counted(self, tmp_path: Path, cut: int) -> None:
        reader, wanted = self.torn(tmp_path, frame(b"never answered" * 3)[:cut])
        assert read_all(reader) == wanted
        assert (reader.torn, reader.damaged) == (1, 0)
        assert segments(tmp_path / "j") == []

    def test_zeros_after_the_last_entry_are_the_usual_end(self, tmp_path: Path) -> None:
        reader, wanted = self.torn(tmp_path, bytes(3000))
        assert read_all(reader) == wanted
        assert (reader.torn, reader.damaged) == (0, 0)
        assert segments(tmp_path / "j") == []

    def test_what_is_whole_around_a_damaged_place_is_read_and_the_file_is_kept(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "j", SMALL)
        wanted = numbered(20)
        for entry in wanted:
            journal.append(entry)
        journal.close()
        (path,) = segments(tmp_path / "j")
        data = bytearray(path.read_bytes())
        place = data.index(wanted[7])
        data[place + 3] ^= 0xFF
        path.write_bytes(data)
        reader = JournalReader(tmp_path / "j")
        assert read_all(reader) == wanted[:7] + wanted[8:]
        assert (reader.torn, reader.damaged) == (0, 1)
        assert segments(tmp_path / "j") == []
        assert len(list((tmp_path / "j").glob("*.damaged"))) == 1

    def test_a_broken_length_is_no_reason_to_read_beyond(self) -> None:
        data = frame(b"one") + b"\xff\xff\xff\xff" + bytes(20)
        assert scan(data, 10)[:2] == ([b"one"], len(frame(b"one")))
        assert scan(data, 10).broken


class TestFull:
    def test_the_limit_is_noticed_while_there_is_room(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "j", JournalConfig(4096, 3 * 4096))
        journal.open()
        wanted: list[bytes] = []
        while journal.full is None:
            wanted.append(os.urandom(100))
            journal.append(wanted[-1])
            journal.prepare()
            assert len(wanted) < 200
        assert "journal_max_bytes" in journal.full
        for _ in range(20):  # calls that were under way
            wanted.append(os.urandom(100))
            journal.append(wanted[-1])
        assert journal.held == 0
        reader = JournalReader(journal.directory, journal.used)
        assert read_all(reader) == wanted
        journal.prepare()
        assert journal.full is None
        journal.close()

    def test_what_finds_no_room_at_all_is_held_until_there_is(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "j", JournalConfig(4096, 2 * 4096))
        wanted = numbered(400)
        for entry in wanted:
            journal.append(entry)
        assert journal.held > 100
        assert journal.full is not None
        reader = JournalReader(journal.directory, journal.used)
        got: list[bytes] = []
        while journal.held or journal.full:
            got += read_all(reader)
            journal.prepare()
        assert got + read_all(reader) == wanted
        journal.close()

    def test_the_oldest_go_and_are_counted(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "j", JournalConfig(4096, 3 * 4096))
        wanted = numbered(300)
        reader = JournalReader(journal.directory, journal.used)
        dropped = 0
        for entry in wanted:
            journal.append(entry)
            while journal.full is not None and (lost := reader.drop_oldest()) is not None:
                dropped += lost
                journal.prepare()
        assert dropped > 100
        assert read_all(reader) == wanted[dropped:]
        journal.close()

    def test_a_disk_that_takes_no_more_loses_nothing(self, tmp_path: Path) -> None:
        """The size that a file may have stands for the disk: what exceeds it fails as a full disk does."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        journal = Journal(tmp_path / "j", SMALL)
        wanted = numbered(10)
        try:
            for entry in wanted[:5]:
                journal.append(entry)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
            for entry in wanted[5:]:
                journal.append(entry)
            journal.prepare()
            assert journal.full is not None
            assert "File too large" in journal.full
            assert journal.held == 5
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, before)
        journal.prepare()
        assert (journal.full, journal.held) == (None, 0)
        assert read_all(JournalReader(journal.directory, journal.used)) == wanted
        journal.close()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount; RLIMIT_FSIZE is tried by everyone")
    def test_a_file_system_that_is_full_loses_nothing(self, tmp_path: Path) -> None:
        mount = tmp_path / "small"
        mount.mkdir()
        options = ["-t", "tmpfs", "-o", "size=64k", "gatewright-test"]
        if subprocess.run(["mount", *options, mount], capture_output=True, check=False).returncode:
            pytest.skip("this machine lets nobody mount; RLIMIT_FSIZE is tried above")
        try:
            journal = Journal(mount / "j", SMALL)
            wanted = numbered(2000)
            for entry in wanted:
                journal.append(entry)
                journal.prepare()
            assert journal.full is not None
            assert "No space left" in journal.full
            assert journal.held
            reader = JournalReader(journal.directory, journal.used)
            got: list[bytes] = []
            while journal.held or journal.full:
                got += read_all(reader)
                journal.prepare()
            assert got + read_all(reader) == wanted
            journal.close()
            reader.close()
        finally:
            subprocess.run(["umount", mount], check=True)


def test_a_killed_process_loses_nothing_that_append_returned_for(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gatewright.storage.journal import Journal, JournalConfig\n"
        f"journal = Journal(Path({str(tmp_path / 'j')!r}), JournalConfig(4096, 1 << 24))\n"
        "number = 0\n"
        "while True:\n"
        "    journal.append(b'%d' % number); sys.stdout.write(f'{number}\\n'); sys.stdout.flush(); number += 1\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(3000)]
    process.kill()
    told += [int(line) for line in process.stdout.read().splitlines()[:-1]]
    process.wait()
    process.stdout.close()
    got = [int(entry) for entry in read_all(JournalReader(tmp_path / "j"))]
    assert got == list(range(len(got)))
    assert len(got) >= len(told)
    assert segments(tmp_path / "j") == []


def test_a_forked_child_has_files_of_its_own(journal: Journal) -> None:
    journal.append(b"parent 1")
    child = os.fork()
    if child == 0:
        try:
            journal.forget()
            journal.append(b"child")
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    journal.append(b"parent 2")
    reader = JournalReader(journal.directory, journal.used)
    assert sorted(read_all(reader)) == [b"child", b"parent 1", b"parent 2"]
    assert read_all(reader) == []
    assert len(segments(journal.directory)) == 2  # the parent's present and next one

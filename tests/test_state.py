import errno
import os
import shlex
import stat
import subprocess
import sys
import tempfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Barrier

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from obfsfte.errors import ConfigError
from obfsfte.session.keys import BridgeKeys
from obfsfte.session.replay import WINDOW, ReplayFilter
from obfsfte.state import StateDirectory

NOW = 1_700_000_000
ENTRY = 24


@pytest.fixture
def state(tmp_path):
    return StateDirectory(tmp_path / "a state")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    return message


# Keys and bridge line


def test_first_start_makes_keys_and_later_ones_find_them(state):
    keys = state.keys_or_new()
    assert state.keys_or_new() == state.keys() == keys
    assert StateDirectory(str(state.path)).keys() == keys
    assert BridgeKeys.decode((state.path / "bridge.keys").read_text()) == keys


def test_has_keys(state):
    assert not state.has_keys()
    state.keys_or_new()
    assert state.has_keys()


def test_keys_come_from_the_given_random_source(state):
    keys = state.keys_or_new(Random(1).randbytes)
    assert keys == BridgeKeys.generate(Random(1).randbytes)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_whatever_the_umask(state, umask):
    before = os.umask(umask)
    try:
        state.keys_or_new()
        state.write_bridge_line("fte ...")
        journal = state.replay_journal(NOW, ReplayFilter(), pytest.fail)
        journal.close()
    finally:
        os.umask(before)
    assert mode(state.path) == 0o700
    files = sorted(path.name for path in state.path.iterdir())
    assert files == ["bridge.keys", "bridgeline.txt", "lock", "replay.journal"]
    for name in files:
        assert mode(state.path / name) == 0o600


def test_missing_keys_are_not_made_by_those_who_only_read(state):
    with pytest.raises(ConfigError, match="there are no bridge keys here") as caught:
        state.keys()
    assert f"obfsfte keygen --state '{state.path}'" in one_line(caught)
    assert not state.path.exists()


@pytest.mark.parametrize("bits", [0o640, 0o620, 0o604, 0o602, 0o601, 0o610, 0o666])
def test_keys_that_others_can_reach_are_refused(state, bits):
    state.keys_or_new()
    path = state.path / "bridge.keys"
    path.chmod(bits)
    for read in (state.keys, state.keys_or_new):
        with pytest.raises(ConfigError) as caught:
            read()
        assert one_line(caught).endswith(f"run: chmod 600 '{path}'")
    subprocess.run(shlex.split(one_line(caught).partition("run: ")[2]), check=True)
    state.keys()


@pytest.mark.parametrize("damage", [b"", b"secret x\n", b"\xff\xfe", bytes(100_000)])
def test_damaged_keys_are_refused_and_kept(state, damage):
    state.keys_or_new()
    path = state.path / "bridge.keys"
    path.write_bytes(damage)
    for read in (state.keys, state.keys_or_new):
        with pytest.raises(ConfigError) as caught:
            read()
        assert one_line(caught).startswith(f"'{path}': damaged: ")
        assert one_line(caught).endswith(f"obfsfte keygen --force --state '{state.path}'")
    assert path.read_bytes() == damage
    assert state.replace_keys() == state.keys()


def test_a_pipe_in_the_place_of_the_keys_is_not_waited_for(state):
    state.keys_or_new()
    path = state.path / "bridge.keys"
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigError, match="damaged"):
        state.keys()


@pytest.mark.parametrize("bits", [0o770, 0o702, 0o777])
def test_a_directory_that_others_can_change_is_refused(state, bits):
    state.path.mkdir()
    state.path.chmod(bits)
    with pytest.raises(ConfigError) as caught:
        state.keys_or_new()
    assert one_line(caught).endswith(f"run: chmod 700 '{state.path}'")
    assert list(state.path.iterdir()) == []


def test_where_no_file_can_be_made_nobody_is_told_to_make_one(state, tmp_path):
    """A directory that is there and takes no file, such as /proc."""
    state.path.mkdir()
    (state.path / "lock").symlink_to(tmp_path / "nowhere" / "lock")
    with pytest.raises(ConfigError) as caught:
        state.keys_or_new()
    assert one_line(caught) == f"'{state.path}': cannot be used: No such file or directory"


def test_a_path_that_is_no_directory(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "below"):
        for use in (StateDirectory(path).keys, StateDirectory(path).keys_or_new):
            with pytest.raises(ConfigError, match="not a directory") as caught:
                use()
            one_line(caught)


def test_files_of_another_user(state, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(ConfigError, match="permission denied") as caught:
        state.keys_or_new()
    assert one_line(caught).endswith(f"chown -R {os.geteuid()} '{state.path}'")


def test_processes_that_start_at_once_agree_on_the_keys(state):
    barrier = Barrier(16)

    def start(_):
        barrier.wait()
        return StateDirectory(state.path).keys_or_new()

    with ThreadPoolExecutor(16) as pool:
        assert len({keys.private_key for keys in pool.map(start, range(16))}) == 1


def test_a_crash_leaves_the_old_keys_or_the_new(state, monkeypatch):
    keys = state.keys_or_new()
    with monkeypatch.context() as patch:

        def crash(*args):
            raise OSError(5, "Input/output error")

        patch.setattr("os.rename", crash)
        with pytest.raises(ConfigError, match="Input/output error"):
            state.replace_keys()
    assert state.keys() == keys
    (state.path / "bridge.keys.new").write_bytes(b"half of a k")
    new = state.replace_keys()
    assert new != keys
    assert state.keys() == new


@pytest.mark.parametrize("content", [b"\xff\xfe fte\n", bytes(1 << 20), b""])
def test_a_bridge_line_that_is_none_is_a_line_all_the_same(state, content):
    state.keys_or_new()
    (state.path / "bridgeline.txt").write_bytes(content)
    line = state.bridge_line()
    assert isinstance(line, str)
    assert len(line) < 1 << 16


def test_a_pipe_in_the_place_of_the_bridge_line_is_not_waited_for(state):
    state.keys_or_new()
    os.mkfifo(state.path / "bridgeline.txt", 0o600)
    assert state.bridge_line() == ""


def test_a_full_disk_keeps_no_bridge_from_starting(state, monkeypatch):
    keys = state.keys_or_new()
    state.write_bridge_line("fte one")

    def refuse(_path, _data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("obfsfte.state._replace", refuse)
    assert state.keys_or_new() == keys
    state.write_bridge_line("fte one")
    with pytest.raises(ConfigError, match="No space left"):
        state.write_bridge_line("fte another")


@pytest.mark.parametrize("readable_by", [0o600, 0o644])
def test_a_bridge_line_is_left_if_it_is_ours_alone(state, readable_by):
    state.keys_or_new()
    path = state.write_bridge_line("fte one")
    path.chmod(readable_by)
    before = path.stat().st_ino
    state.write_bridge_line("fte one")
    assert path.read_text() == "fte one\n"
    assert mode(path) == 0o600
    assert (path.stat().st_ino == before) is (readable_by == 0o600)


def test_the_bridge_line_is_replaced(state):
    assert state.bridge_line() is None
    for line in ("fte 192.0.2.1:80 cert=a", "fte 192.0.2.1:80"):
        path = state.write_bridge_line(line)
        assert path == state.path / "bridgeline.txt"
        assert path.read_text() == line + "\n"
        assert state.bridge_line() == line
        assert mode(path) == 0o600


# The replay journal


def nonce(number):
    return (number + 1).to_bytes(16, "big")


def open_journal(state, now=NOW, memory=None):
    return state.replay_journal(now, memory if memory else ReplayFilter(), pytest.fail)


def test_a_restart_remembers(state):
    first = open_journal(state)
    assert first.check_and_add(nonce(1), NOW, NOW)
    assert not first.check_and_add(nonce(1), NOW, NOW)
    second = open_journal(state)
    assert not second.check_and_add(nonce(1), NOW, NOW)
    assert second.check_and_add(nonce(2), NOW, NOW)


def test_the_window_is_the_filter_s(state):
    journal = open_journal(state)
    assert not journal.check_and_add(nonce(1), NOW + WINDOW + 1, NOW)
    assert (state.path / "replay.journal").stat().st_size == 0


def test_processes_share_one_memory(state):
    journals = [open_journal(state) for _ in range(3)]
    for number in range(30):
        answers = [journal.check_and_add(nonce(number), NOW, NOW) for journal in journals]
        assert answers == [True, False, False]
        journals.append(journals.pop(0))


#: A worker that is sent the same hellos as all others, and prints the number of each it accepts.
WORKER = f"""
import sys
from obfsfte.session.replay import ReplayFilter
from obfsfte.state import StateDirectory
journal = StateDirectory(sys.argv[1]).replay_journal({NOW}, ReplayFilter(), print)
for number in range(int(sys.argv[2])):
    if journal.check_and_add((number + 1).to_bytes(16, "big"), {NOW}, {NOW}):
        print(number, flush=True)
"""


def start_worker(state, hellos):
    command = [sys.executable, "-c", WORKER, str(state.path), str(hellos)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_kill_9_loses_nothing(state):
    with start_worker(state, 10**9) as worker:
        accepted = [int(worker.stdout.readline()) for _ in range(100)]
        worker.kill()
        accepted += map(int, worker.stdout)
    assert accepted == list(range(len(accepted)))
    journal = open_journal(state)
    for number in accepted:
        assert not journal.check_and_add(nonce(number), NOW, NOW)


def test_workers_at_the_same_time_accept_each_hello_once(state):
    workers = [start_worker(state, 3000) for _ in range(3)]
    accepted = []
    for worker in workers:
        with worker:
            accepted += map(int, worker.stdout)
    assert sorted(accepted) == list(range(3000))


@pytest.mark.parametrize("size", [1, 23, 25, 47])
def test_part_of_an_entry_at_the_end_is_dropped(state, size):
    path = state.path / "replay.journal"
    journal = open_journal(state)
    assert journal.check_and_add(nonce(1), NOW, NOW)
    assert journal.check_and_add(nonce(2), NOW, NOW)
    os.truncate(path, size)
    whole = size // ENTRY
    restarted = open_journal(state)
    assert path.stat().st_size == whole * ENTRY
    assert restarted.check_and_add(nonce(1), NOW, NOW) == (whole == 0)
    assert restarted.check_and_add(nonce(2), NOW, NOW)
    assert not open_journal(state).check_and_add(nonce(2), NOW, NOW)
    # The process that ran all along still has what the file lost.
    assert not journal.check_and_add(nonce(1), NOW, NOW)


def test_a_journal_of_old_entries_is_replaced_under_running_processes(state):
    path = state.path / "replay.journal"
    journals = [open_journal(state) for _ in range(2)]
    largest = 0
    now = NOW
    for number in range(12_000):
        now += 60
        assert journals[number % 2].check_and_add(nonce(number), now, now)
        assert not journals[(number + 1) % 2].check_and_add(nonce(number), now, now)
        largest = max(largest, path.stat().st_size)
    assert largest < 5000 * ENTRY
    assert not list(state.path.glob("*.new"))
    restarted = open_journal(state, now)
    for number in range(11_950, 12_000):
        assert not restarted.check_and_add(nonce(number), NOW + (number + 1) * 60, now)


def test_a_closed_minute_stays_closed_when_the_journal_is_replaced(state):
    def start(now):
        return open_journal(state, now, ReplayFilter(capacity=10))

    path = state.path / "replay.journal"
    now = NOW
    journal = start(now)
    accepted = []
    inodes = {path.stat().st_ino}
    while len(inodes) < 3:
        now += 60
        hello = (nonce(len(accepted)), now + 600)
        while journal.check_and_add(*hello, now):
            accepted.append(hello)
            hello = (nonce(len(accepted)), now + 600)
        if path.stat().st_ino not in inodes:
            inodes.add(path.stat().st_ino)
            restarted = start(now)
            assert not any(restarted.check_and_add(*hello, now) for hello in accepted)
            restarted.close()


@pytest.mark.parametrize("damage", ["deleted", "emptied", "foreign"])
def test_a_journal_that_somebody_meddled_with(state, damage):
    path = state.path / "replay.journal"
    journal = open_journal(state)
    assert journal.check_and_add(nonce(1), NOW, NOW)
    if damage == "deleted":
        path.unlink()
    elif damage == "emptied":
        os.truncate(path, 0)
    else:
        path.write_bytes(Random(1).randbytes(100_001))
    assert not journal.check_and_add(nonce(1), NOW, NOW)
    assert journal.check_and_add(nonce(2), NOW, NOW)
    restarted = open_journal(state)
    assert not restarted.check_and_add(nonce(2), NOW, NOW)
    assert restarted.check_and_add(nonce(3), NOW, NOW)
    assert not journal.check_and_add(nonce(3), NOW, NOW)


def test_a_journal_of_an_impossible_size_costs_neither_time_nor_memory(state):
    """Zeros to begin with, as a file system leaves them, and foreign bytes."""
    path = state.path / "replay.journal"
    journal = open_journal(state)
    assert journal.check_and_add(nonce(1), NOW, NOW)
    entry = path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(ENTRY << 32)
        file.seek(0, os.SEEK_END)
        file.write(Random(1).randbytes(ENTRY << 15))
        file.write(entry)
    tracemalloc.start()
    restarted = open_journal(state)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6
    assert path.stat().st_size < ENTRY << 13
    assert not restarted.check_and_add(nonce(1), NOW, NOW)
    assert restarted.check_and_add(nonce(2), NOW, NOW)


@pytest.mark.parametrize("written", [0, 7, None])
def test_a_full_disk_is_reported_and_the_memory_goes_on(state, monkeypatch, written):
    errors = []
    journal = state.replay_journal(NOW, ReplayFilter(), errors.append)
    real_write = os.write

    def write(fd, data):
        if written is None:
            raise OSError(28, "No space left on device")
        return real_write(fd, data[:written])

    with monkeypatch.context() as patch:
        patch.setattr("os.write", write)
        assert journal.check_and_add(nonce(1), NOW, NOW)
    assert [error.strerror for error in errors] == ["No space left on device"]
    assert not journal.check_and_add(nonce(1), NOW, NOW)
    assert journal.check_and_add(nonce(2), NOW, NOW)
    assert not open_journal(state).check_and_add(nonce(2), NOW, NOW)
    assert len(errors) == 1


def test_a_lost_directory_is_reported_and_the_memory_goes_on(state, tmp_path):
    errors = []
    journal = state.replay_journal(NOW, ReplayFilter(), errors.append)
    assert journal.check_and_add(nonce(1), NOW, NOW)
    state.path.rename(tmp_path / "elsewhere")
    assert not journal.check_and_add(nonce(1), NOW, NOW)
    assert journal.check_and_add(nonce(2), NOW, NOW)
    assert not journal.check_and_add(nonce(2), NOW, NOW)
    assert len(errors) == 3


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_who_takes_all_descriptors_cannot_replay_what_another_process_answered(
    state, monkeypatch, number
):
    ours, another = open_journal(state), open_journal(state)
    assert another.check_and_add(nonce(1), NOW, NOW)

    def no_more(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("os.open", no_more)
        assert not ours.check_and_add(nonce(1), NOW, NOW)
        assert not ours.check_and_add(nonce(2), NOW, NOW)
    assert not ours.check_and_add(nonce(1), NOW, NOW)
    assert ours.check_and_add(nonce(2), NOW, NOW)


def test_an_unusable_journal_is_said_at_the_start(state):
    state.keys_or_new()
    (state.path / "replay.journal").mkdir()
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        open_journal(state)
    one_line(caught)


class Workers(RuleBasedStateMachine):
    """Three processes of one server; crashes, torn entries, a memory that is often full."""

    def __init__(self):
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.state = StateDirectory(Path(self.temporary.name))
        self.now = NOW
        self.accepted = set()
        self.journals = [self.start() for _ in range(3)]

    def start(self):
        memory = ReplayFilter(window=300, capacity=10)
        return self.state.replay_journal(self.now, memory, pytest.fail)

    @rule(worker=st.integers(0, 2), number=st.integers(0, 30), offset=st.integers(-300, 300))
    def check(self, worker, number, offset):
        hello = (nonce(number), self.now + offset)
        if self.journals[worker].check_and_add(*hello, self.now):
            assert hello not in self.accepted
            self.accepted.add(hello)

    @rule(worker=st.integers(0, 2), data=st.data())
    def replay(self, worker, data):
        if self.accepted:
            hello = data.draw(st.sampled_from(sorted(self.accepted)))
            assert not self.journals[worker].check_and_add(*hello, self.now)

    @rule(worker=st.integers(0, 2))
    def crash_and_restart(self, worker):
        self.journals[worker].close()
        self.journals[worker] = self.start()

    @rule(size=st.integers(1, ENTRY - 1))
    def crash_while_appending(self, size):
        with open(self.state.path / "replay.journal", "ab") as file:
            file.write(bytes(range(size)))

    @rule(seconds=st.integers(0, 100))
    def pass_time(self, seconds):
        self.now += seconds

    def teardown(self):
        for journal in self.journals:
            journal.close()
        self.temporary.cleanup()


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(deadline=None, max_examples=40, stateful_step_count=40)

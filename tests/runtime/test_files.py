"""Files that are whole or absent."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pafpose.runtime.files import read_json, write_json, write_whole


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), write_whole(file) as stream:
        stream.write(b"half")
        raise KeyboardInterrupt
    assert file.read_text() == "old" and [*tmp_path.iterdir()] == [file]
    with write_whole(file) as stream:
        stream.write(b"new")
    assert file.read_text() == "new" and [*tmp_path.iterdir()] == [file]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    (tmp_path / "file.part").symlink_to("/dev/full")
    with pytest.raises(OSError) as caught, write_whole(file) as stream:
        stream.write(b"new")
    assert caught.value.errno == errno.ENOSPC and file.read_text() == "old"


def test_a_kill_in_the_middle_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    code = (
        "from pathlib import Path; import sys, time; from pafpose.runtime.files import write_whole\n"
        "with write_whole(Path(sys.argv[1])) as stream: stream.write(b'x' * 10**6); time.sleep(60)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(file)])
    while not (tmp_path / "file.part").exists() or not (tmp_path / "file.part").stat().st_size:
        assert writer.poll() is None
        time.sleep(0.02)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert file.read_text() == "old"
    write_json(file, {"AP": float("nan")})
    assert read_json(file) == {"AP": None}

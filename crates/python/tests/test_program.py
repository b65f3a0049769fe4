"""The program `sync-replicas`, as the package brings it."""

import json
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SCRIPT = [str(Path(sysconfig.get_path("scripts")) / "sync-replicas")]
MODULE = [sys.executable, "-m", "sync_replicas"]
LAUNCH = ["launch", "--ps", "1", "--workers", "2", "--model", "softmax", "--straggler", "none"]


# What runs the tests may ignore signals, as a shell's background job does.
USUAL = """
import os, signal, sys
for number in signal.SIGINT, signal.SIGTERM:
    signal.signal(number, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def start(words: list[str], folder: Path) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", USUAL, *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


@pytest.mark.parametrize("program", [SCRIPT, MODULE], ids=["script", "module"])
@pytest.mark.parametrize(
    ("words", "status", "out", "err"),
    [
        (["--help"], 0, "Usage: sync-replicas", ""),
        (["--version"], 0, "sync-replicas 0.", ""),
        (["train", "--workers", "2"], 2, "", "unexpected argument '--workers'"),
        (["status", "no-such-folder"], 2, "", "no-such-folder"),
    ],
)
def test_it_answers_as_the_program_does(program, words, status, out, err, tmp_path: Path):
    process = start([*program, *words], tmp_path)
    said, told = process.communicate(timeout=60)
    assert (process.returncode, out in said, err in told) == (status, True, True), said + told


@pytest.mark.parametrize("program", [SCRIPT, MODULE], ids=["script", "module"])
def test_a_cluster_is_launched_and_trains_to_its_end(program, tmp_path: Path):
    words = [*program, *LAUNCH, "--updates", "20", "--out", "run", "--json", "--quiet"]
    process = start(words, tmp_path)
    said, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert json.loads(said)["updates"] == 20
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_a_signal_ends_it_with_a_checkpoint(number, status, tmp_path: Path):
    words = [*SCRIPT, *LAUNCH, "--updates", "5000", "--out", "run"]
    with start(words, tmp_path) as process:
        assert process.stderr is not None
        # Its progress begins when training does.
        begun = any(line.startswith("update ") for line in process.stderr)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert begun and process.returncode == status, told
    again = told.split("continue with: ")[1].splitlines()[0].split()
    # Python itself is named by its whole path.
    assert again[1:] == [*words[:-2], "--resume", "run"] and "Traceback" not in told
    assert any((tmp_path / "run" / "checkpoint").iterdir())

"""The page of metrics, read by Prometheus's own client library."""

import signal
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text
from test_program import LAUNCH, SCRIPT, start

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def ask(page: str, accept: str) -> tuple[str, str]:
    request = urllib.request.Request(page + "metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


@pytest.mark.parametrize(
    "words",
    [["train", "-n", "3", "-a", "2", "--dashboard", "0"], [*LAUNCH, "--dashboard", "19431"]],
    ids=["train", "launch"],
)
def test_the_page_is_what_prometheus_reads(words, tmp_path: Path):
    updates = ["--updates", "1000000", "--out", "run"]
    process = start([*SCRIPT, *words, *updates], tmp_path)
    page = next(line for line in process.stderr if line.startswith("live page: "))
    page = page.removeprefix("live page: ").strip()
    # Until a replica has computed.
    while True:
        try:
            kind, text = ask(page, OPEN_METRICS)
        except OSError:
            continue
        if 'outcome="accepted"' in text:
            break
    assert kind.startswith("application/openmetrics-text")
    families = {family.name: family for family in open_metrics(text)}
    batches = families["sync_replicas_replica_batches"]
    assert batches.type == "counter"
    accepted = {s.labels["replica"] for s in batches.samples if s.labels["outcome"] == "accepted"}
    assert accepted <= {"0", "1", "2"}
    assert families["sync_replicas_replica_compute_seconds"].type == "histogram"
    assert families["sync_replicas_replica_compute_seconds"].unit == "seconds"
    kind, text = ask(page, "text/plain")
    assert kind.startswith("text/plain")
    names = {family.name for family in plain_text(text)}
    assert "sync_replicas_step_seconds" in names
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130

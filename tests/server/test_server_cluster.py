"""A contest whose runs are played by a Ray cluster."""

import json
from pathlib import Path

from server_kit import SETTINGS, Hosted


def test_a_job_is_played_on_the_cluster(tmp_path: Path) -> None:
    with Hosted(tmp_path, SETTINGS + "cluster: local\n") as host:
        entrant = host.client("alice")
        job = entrant.post("/api/v1/jobs", json={"tag": "random"}).json()["id"]
        entrant.wait(job, "finished")
        folder = host.contest.places.results("open", job)
        summary = json.loads((folder / "summary.json").read_text())
    assert summary["complete"]
    assert all(run["machine"]["node"] for run in summary["levels"])

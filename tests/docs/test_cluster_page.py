"""The manifest for Kubernetes in docs/cluster.md, as far as it can be checked without a cluster."""

import yaml
from pages import ROOT, blocks

from retro_contest.cli.parse import parse
from retro_contest.cli.serve import Serve
from retro_contest.containers.options import SHARED_GROUP
from retro_contest.levels import find_one
from retro_contest.runs.randomness import SEED_VARIABLE


def test_the_manifest_fits_the_kit() -> None:
    (block,) = [block for block in blocks(ROOT / "docs/cluster.md") if block.language == "yaml"]
    job = yaml.safe_load(block.text)
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    pod = job["spec"]["template"]["spec"]
    assert (job["spec"]["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert pod["securityContext"] == {"fsGroup": SHARED_GROUP}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["socket"]["emptyDir"]["medium"] == "Memory"
    environment, agent = pod["containers"]
    mounts = [
        {mount["name"]: mount["mountPath"] for mount in side["volumeMounts"]}
        for side in (environment, agent)
    ]
    assert mounts[0].keys() == volumes.keys() and mounts[1].keys() == {"socket"}
    words = environment["args"]
    assert words[:3] == ["python", "-m", "retro_contest"]
    serve = parse(words[3:], "retro-contest")
    assert isinstance(serve, Serve)
    find_one(f"{serve.game}/{serve.state}")
    assert serve.rules.timesteps == 1_000_000
    assert str(serve.socket) == mounts[0]["socket"]
    assert serve.results.is_relative_to(mounts[0]["results"])
    assert [variable["name"] for variable in environment["env"]] == [SEED_VARIABLE]
    assert agent["env"] == [{"name": "RETRO_CONTEST_SOCKET", "value": mounts[1]["socket"]}]

"""The worked example of docs/agent.md: its table follows from the recorded counts."""

import json
import math

from pages import ROOT

COLUMNS = ("waypoint", "timestep", "earned", "changes", "arrived", "p", "r", "v", "expected")


def table() -> list[dict[str, str]]:
    """The rows of the example's table, without thousands separators and emphasis."""
    text = (ROOT / "docs/agent.md").read_text()
    lines = text[text.index("| waypoint |") :].split("\n\n")[0].splitlines()[2:]
    cells = [
        [cell.strip(" *").replace(",", "") for cell in line.split("|")[1:-1]] for line in lines
    ]
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells]


def test_the_table_follows_from_the_counts() -> None:
    example = json.loads((ROOT / "docs/route-example.json").read_text())
    rows = {int(row["waypoint"]): row for row in table()}
    assert len(rows) >= 12
    reach, lost = 1.0, 0.0
    expected: dict[int, float] = {}
    for number, waypoint in enumerate(example["waypoints"], start=1):
        unseen = math.exp(-example["lost_per_change"] * waypoint["changes"])
        stays = (waypoint["arrived"] + 2 * unseen) / (waypoint["tried"] + 2)
        lost += reach * (1 - stays) * example["after_loss"] * waypoint["policy"]
        reach *= stays
        value = (waypoint["ended_total"] + 2 * waypoint["policy"]) / (waypoint["ended"] + 2)
        expected[number] = reach * value + lost
        assert math.isclose(expected[number], waypoint["expected"], abs_tol=0.1)
        if number in rows:
            row = rows[number]
            assert row["arrived"] == f"{waypoint['arrived']} of {waypoint['tried']}"
            assert int(row["timestep"]) == waypoint["timestep"]
            assert int(row["changes"]) == waypoint["changes"]
            for column, shown in (("p", stays), ("r", reach)):
                assert math.isclose(float(row[column]), shown, abs_tol=0.0051)
            figures = {"earned": waypoint["earned"], "v": value, "expected": expected[number]}
            for column, shown in figures.items():
                assert math.isclose(float(row[column]), shown, abs_tol=0.51)
    assert max(expected, key=expected.get) == example["chosen_waypoint"]

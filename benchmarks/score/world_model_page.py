"""The section "World model" of `docs/results.md`, from the JSON of `python -m analysis report`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HORIZONS = ("1", "5", "15", "30")
"""timesteps ahead, as the report's JSON has them"""


@dataclass(frozen=True)
class Row:
    """One measured quantity."""

    label: str
    unit: str
    key: str
    """in the report's `train` and `heldout`; a dot leads into a nested mapping"""
    target: float | None = None
    """a bound that the value should reach"""
    baseline: str | None = None
    """key of a simpler method's value, which this one should beat; shown in brackets"""
    lower: bool = False
    """whether lower values are better"""
    digits: str = ".2f"
    """format of a value"""

    def cell(self, figures: dict[str, Any]) -> str:
        text = format(_value(figures, self.key), self.digits)
        if self.baseline is not None:
            text += f" ({format(_value(figures, self.baseline), self.digits)})"
        return text

    def aim(self) -> str:
        """The target in words."""
        if self.baseline is not None:
            return "better than ( )"
        if self.target is None:
            return ""
        return f"{'at most' if self.lower else 'at least'} {self.target:g}"

    def met(self, figures: dict[str, Any]) -> bool:
        """Whether the target is met; True without one."""
        bound = _value(figures, self.baseline) if self.baseline is not None else self.target
        if bound is None:
            return True
        value = _value(figures, self.key)
        if self.baseline is not None and value == bound:
            return False
        return value <= bound if self.lower else value >= bound


ROWS = (
    Row("V: PSNR of the reconstruction", "dB", "psnr", 28, digits=".1f"),
    Row("V: PSNR within 16 px of the player sprite", "dB", "psnr_player", 24, digits=".1f"),
    Row("V: latent units that vary", "units", "active_units", 256, digits="d"),
    Row("z: linear probe of the player's x on the screen", "R²", "probe_screen_x_r2", 0.95),
    Row("z: linear probe of the player's y on the screen", "R²", "probe_screen_y_r2", 0.95),
    Row("[z, h]: linear probe of the player's speed, x", "R²", "probe_speed_x_r2", 0.9),
    Row("[z, h]: linear probe of the player's speed, y", "R²", "probe_speed_y_r2", 0.9),
    *(
        Row(
            f"the same, {axis} (with the h of an untrained M)",
            "R²",
            f"probe_speed_{axis}_r2",
            baseline=f"probe_speed_{axis}_r2_untrained",
        )
        for axis in "xy"
    ),
    Row("[z, h]: probe of standing on ground", "AUC", "probe_on_ground_auc", 0.97, digits=".3f"),
    *(
        Row(f"M: NLL of the next latent ({name})", "nats/unit", "nll", None, f"nll_{key}", True)
        for name, key in (
            ("next latent = this one", "same"),
            ("linear model", "linear"),
            ("untrained M", "untrained"),
        )
    ),
    Row("M: correlation of predicted and real reward", "r", "reward_corr", 0.8),
    Row("M: end of the episode", "AUC", "end_auc", 0.95, digits=".3f"),
    *(
        Row(
            f"M: PSNR, {at} timestep{'s' * (at != '1')} ahead (last frame repeated)",
            "dB",
            f"rollout_psnr.{at}",
            baseline=f"freeze_psnr.{at}",
            digits=".1f",
        )
        for at in HORIZONS
    ),
    *(
        Row(
            f"M: error of the player's position, {at} timestep{'s' * (at != '1')} ahead "
            "(last frame repeated)",
            "px",
            f"rollout_player_px.{at}",
            baseline=f"freeze_player_px.{at}",
            lower=True,
            digits=".1f",
        )
        for at in HORIZONS
    ),
    Row(
        "largest difference of h between the agent's code and training's",
        "",
        "run_time_error",
        1e-5,
        lower=True,
        digits=".1e",
    ),
)


def section(report: dict[str, Any]) -> list[str]:
    """The section's paragraphs.

    Args:
        report: content of `world-model.json`.

    Raises:
        KeyError: the report lacks a figure that the table has.
    """
    train, heldout = report["train"], report["heldout"]
    rows = [["quantity", "unit", "training levels", "held-out levels", "target", "met"]]
    for row in ROWS:
        met = _met(row.met(train), row.met(heldout)) if row.aim() else ""
        rows.append([row.label, row.unit, row.cell(train), row.cell(heldout), row.aim(), met])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    weights = ", ".join(f"{part} `{report['bundle'][part][:12]}`" for part in ("vision", "memory"))
    return [
        "## World model",
        "Vision (V), memory (M) and what can be read linearly from the latent z and the hidden "
        "state h, measured on new rollouts by `python -m analysis report`: "
        f"{train['timesteps']:,} timesteps of the training levels (`{report['train_levels']}`), "
        f"{heldout['timesteps']:,} of the held-out levels (`{report['heldout_levels']}`). Probes "
        "are fitted on other rollouts of the training levels. In brackets: the value of a simpler "
        "method, named in the row. See [world-model.md](world-model.md) for the meaning of each "
        "row and for pictures.",
        "\n".join([lines[0], "|---|---|---:|---:|---|---|", *lines[1:]]),
        f"Weights: {weights}. Measured at commit {report['commit']} on {report['created'][:10]}. "
        "All figures: `benchmarks/results/world-model.json`.",
    ]


def _met(training: bool, heldout: bool) -> str:
    if training == heldout:
        return "yes" if training else "no"
    return f"on {'training' if training else 'held-out'} levels only"


def _value(figures: dict[str, Any], key: str) -> Any:
    value: Any = figures
    for part in key.split("."):
        value = value[part]
    return value

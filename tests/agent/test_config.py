"""Configurations: what is wrong is named in one line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.actions import action_table
from agent.config import AgentConfig
from pretrain.config import PretrainConfig
from retro_common.config import load, to_dict, validate
from retro_common.errors import UsageError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
CONFIGS = [path for path in CONFIGS if "arms:" not in path.read_text()]  # not the benchmark's


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_presets_load_and_survive_a_round_trip(path: Path) -> None:
    config = load(PretrainConfig, path)
    assert validate(PretrainConfig, to_dict(config), "again") == config
    action_table(config.agent.actions)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("vision: {latnt: 3}", "unknown key `vision.latnt`"),
        ("colour: red", "unknown key `colour`"),
        ("vision: {latent: many}", "vision.latent"),
        ("vision: {latent: 0}", "vision.latent"),
        ("online: {clip: -1}", "online.clip"),
        ("controller: {features: [z, smell]}", "controller.features.1"),
        ("vision: 3", "vision"),
        ("- a list", "(top level)"),
        ("vision: {latent: 3", "not valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        load(AgentConfig, path)
    assert complaint in str(error.value)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["vision", "latent", "online", "clip", "x"]), inner)
        ),
        max_leaves=8,
    )
)
def test_whatever_the_yaml_holds_it_is_a_config_or_a_usage_error(values: object) -> None:
    try:
        config = validate(AgentConfig, values, "here")
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(config, AgentConfig)


def test_buttons() -> None:
    table = action_table(["", "RIGHT B", "LEFT"])
    assert table.tolist()[0] == [0] * 12
    assert table.tolist()[1] == [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    for wrong in (["FIRE"], [], ["B", "B"], ["A B", "B A"]):
        with pytest.raises(UsageError):
            action_table(wrong)

import pytest
from server_kit import Hosted


@pytest.fixture(scope="session")
def hosted(tmp_path_factory):
    """A contest that runs, with its executor."""
    with Hosted(tmp_path_factory.mktemp("contest")) as host:
        yield host

import pytest
from server_kit import Hosted


@pytest.fixture(scope="session")
def hosted(tmp_path_factory):
    """A contest that runs, with its executor."""
    host = Hosted(tmp_path_factory.mktemp("contest"))
    host.start()
    yield host
    assert host.stop() == 0

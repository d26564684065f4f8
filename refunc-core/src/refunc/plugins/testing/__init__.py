"""
The test kit for plugins: subclass `IntegrationContract`, give it an integration whose backend is reachable, run pytest.

    from refunc.plugins.testing import IntegrationContract

    class TestPrinter(IntegrationContract):
        @pytest.fixture
        def integration(self):
            return PrinterIntegration(prefix="# ")

Two more fixtures turn on the checks of the backend's contents: `stored` and `failing`, see `IntegrationContract`.

Needs pytest; nothing else imports this module. A new check warns for one minor release before it fails.

    samples.py    runs and records as in real deliveries
    driver.py     an integration's calls, as its delivery thread makes them, with a time limit
    stored.py     the contents of a backend for a run, as the plugin's author returns them to the kit
    contract.py   the checks that only need the integration
    backend.py    the checks of the backend's contents

    backend   checks of the backend's contents
    contract  checks that hold for every integration
    driver    calling an integration as delivery does
    samples   runs and records for tests
    stored    the result of the fixture `stored`
"""

from refunc.plugins.testing.contract import IntegrationContract
from refunc.plugins.testing.driver import deliver, opened
from refunc.plugins.testing.samples import awkward_calls, sample_records, sample_run
from refunc.plugins.testing.stored import Stored

__all__ = ["IntegrationContract", "Stored", "awkward_calls", "deliver", "opened", "sample_records", "sample_run"]

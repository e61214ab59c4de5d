"""Prometheus' own tool takes the rules and the configuration, and the rules fire on what they are for."""

from tests.deploy.test_deploy import ROOT
from tests.interfaces.tools import PROMTOOL, needs_promtool, run

PROMETHEUS = ROOT / "deploy/prometheus"
pytestmark = needs_promtool


async def test_promtool_takes_rules_and_configuration():
    assert PROMTOOL is not None
    await run(PROMTOOL, "check", "config", "prometheus.yml", cwd=PROMETHEUS)


async def test_a_crash_loop_shorter_than_a_scrape_fires_an_alert_and_a_worker_that_runs_does_not():
    assert PROMTOOL is not None
    await run(PROMTOOL, "test", "rules", "alerts.test.yml", cwd=PROMETHEUS)

"""The eight-step Honua deployment: ``locust -f scenarios/deploy.py --rate 20/s --run-time 30s --headless``."""

from loadgen.user import TraceUser


class Deploy(TraceUser):
    """Sends traces of scenarios/deploy.yaml."""

    topology = "deploy"

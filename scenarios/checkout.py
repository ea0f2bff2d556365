"""A shop's checkout: ``locust -f scenarios/checkout.py --rate 20000spans/s --run-time 30s --headless``."""

from loadgen.user import TraceUser


class Checkout(TraceUser):
    """Sends traces of scenarios/checkout.yaml."""

    topology = "checkout"

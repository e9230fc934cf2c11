"""What holds for every test."""

from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("moegate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("moegate")

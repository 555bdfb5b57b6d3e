"""Hypothesis without its clocks: a machine that is busy with something else must fail no test."""

from hypothesis import HealthCheck, settings

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

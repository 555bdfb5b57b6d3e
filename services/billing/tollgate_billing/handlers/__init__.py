"""The catalogue's use cases. Each is one transaction, outbox rows inside it."""

from tollgate_billing.handlers.imports import Import, import_prices, seed
from tollgate_billing.handlers.models import describe_model
from tollgate_billing.handlers.plans import PlanCommand, add_plan, list_plans, retire_plan, schedule_multiplier
from tollgate_billing.handlers.prices import PriceCommand, add_price, list_prices, prices_believed
from tollgate_billing.handlers.publishing import PUBLISHED_FOR
from tollgate_billing.handlers.quarantine import lift_quarantine, list_quarantines, quarantine, quarantine_unrateable

__all__ = [
    "PUBLISHED_FOR",
    "Import",
    "PlanCommand",
    "PriceCommand",
    "add_plan",
    "add_price",
    "describe_model",
    "import_prices",
    "lift_quarantine",
    "list_plans",
    "list_prices",
    "list_quarantines",
    "prices_believed",
    "quarantine",
    "quarantine_unrateable",
    "retire_plan",
    "schedule_multiplier",
    "seed",
]

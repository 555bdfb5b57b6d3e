"""The catalog's use cases. Each is one transaction that includes its outbox rows."""

from tollgate_billing.catalog.handlers.imports import PriceImport, import_prices, seed
from tollgate_billing.catalog.handlers.models import describe_model
from tollgate_billing.catalog.handlers.plans import PlanCommand, add_plan, list_plans, retire_plan, schedule_multiplier
from tollgate_billing.catalog.handlers.prices import PriceCommand, add_price, list_prices, prices_believed
from tollgate_billing.catalog.handlers.publishing import PUBLISHED_FOR
from tollgate_billing.catalog.handlers.quarantine import lift_quarantine, list_quarantines, quarantine

__all__ = [
    "PUBLISHED_FOR",
    "PlanCommand",
    "PriceCommand",
    "PriceImport",
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
    "retire_plan",
    "schedule_multiplier",
    "seed",
]

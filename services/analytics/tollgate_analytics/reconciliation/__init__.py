"""The request events as reconciliation reads them."""

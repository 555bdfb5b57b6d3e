"""Budget windows: the amount, spending and holds of a budget in one period."""

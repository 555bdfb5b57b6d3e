"""The whole system, every service a process of its own, as customers and operators meet it."""

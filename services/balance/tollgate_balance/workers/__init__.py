"""Background loops: the sweeper of silent boots, and metrics."""

"""Where tests get their stores: the real engines, shared by all workers of one run."""

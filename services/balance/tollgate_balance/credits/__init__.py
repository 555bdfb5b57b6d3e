"""Credit: how it is granted, adjusted and burned."""

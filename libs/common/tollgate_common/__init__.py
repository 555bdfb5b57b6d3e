"""What two or more services share. Nothing here knows a service."""

"""Where clients meet the service: the same again, too slow, too many, and at its end."""

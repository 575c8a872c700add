"""One policy for all providers: rate limit, concurrency, breaker, shared by all runs."""

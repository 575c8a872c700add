"""What each API key uses: its counts by provider and day, its money, its rate of requests."""

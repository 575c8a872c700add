"""What must last: ledgers, certificates and runs, behind the Redis protocol."""

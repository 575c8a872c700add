"""What SECURITY.md says, shown: one module for what no other package shows."""

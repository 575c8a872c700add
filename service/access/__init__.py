"""Who may do what: API keys, their scopes, and the caller of a request."""

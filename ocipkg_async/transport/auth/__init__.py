"""Authentication: challenges, scopes, tokens."""

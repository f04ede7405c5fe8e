"""Which demands of the gateway are met, which tests say so, and proof that those tests can fail."""

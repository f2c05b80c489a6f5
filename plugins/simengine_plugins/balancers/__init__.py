"""Which training rows form each batch."""

"""Programs that use Gatewright, each in its own folder."""

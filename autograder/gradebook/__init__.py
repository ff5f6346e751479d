"""Results at rest."""

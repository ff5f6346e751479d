"""An autograded homework kit: turn masters into releases, and submissions into scores with reasons."""

"""An autograded homework kit: masters become releases, submissions become scores with reasons."""

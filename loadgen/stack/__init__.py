"""Real processes beside the load: a Collector, a Tempo, started, watched and ended as children."""

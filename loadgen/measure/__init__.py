"""What happened, as the Collector, Tempo and the host tell it: scraped, named, put into the run file."""

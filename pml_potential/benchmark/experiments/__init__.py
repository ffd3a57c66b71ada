"""Which work there is, and who does it: experiments, searches, reproductions, queues and studies."""

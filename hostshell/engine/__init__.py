"""Who runs what, where: the pool of processes and the body of each."""

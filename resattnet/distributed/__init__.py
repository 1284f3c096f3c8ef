"""Training in several processes: the engines that join them, and what the processes agree on."""

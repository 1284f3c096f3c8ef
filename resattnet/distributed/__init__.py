"""Training in several processes: the engines that join them, what they agree on, and the command that starts them."""

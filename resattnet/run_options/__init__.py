"""The options of a training run: their groups, rules and checks, and how a resumed run merges them."""

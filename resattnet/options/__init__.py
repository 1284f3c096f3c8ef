"""Options of a command as data: fields, groups and rules, and the command line that reads them."""

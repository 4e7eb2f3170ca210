"""What the command line can do, a file a group of commands. Each function is a command: its signature the options, its
docstring the help, its value the exit code. `thermal.cli` registers them."""

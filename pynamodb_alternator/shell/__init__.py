"""The shell commands. Each command has a module with `add`, which declares its options, and a function that runs it."""

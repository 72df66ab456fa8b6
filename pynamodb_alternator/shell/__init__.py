"""The shell commands. Each command has a module with `add`, which tells argparse its options, and what runs it."""

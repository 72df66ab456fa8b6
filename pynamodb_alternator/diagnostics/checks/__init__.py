"""The doctor's checks, a module for each. Every one has ``check``: from an `Examination` to findings."""

"""The doctor's checks, one module for each. Each has a function ``check``, which makes findings from an
`Examination`."""

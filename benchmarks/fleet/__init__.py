"""A simulator of many clients of one cluster, made of the package's own parts on a virtual clock (docs/scale.md)."""

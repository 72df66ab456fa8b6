"""DynamoDB's expressions as Alternator understands them: parsed, checked, and applied to items.

The functions have no side effects: they get text, parameters and items, and return a truth value or an item, or raise
`DialectError`. For an engine in process, this room does all conditions, filters, projections and updates, because
moto's own differ from the server's in many places. `parser` makes the trees of `tree`; `references` resolves ``#names``
and ``:values``; `values` compares; `conditions`, `updates` and `projections` apply trees to an item; `legacy` handles
the parameters that DynamoDB had before it had expressions.
"""
